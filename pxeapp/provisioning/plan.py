"""Composes what the capabilities know of a machine into what it boots and what its installer is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import cluster_secrets, clusters, knowledge, render, roles
from pxeapp.answers.models import Role
from pxeapp.answers.own_keys import Own
from pxeapp.answers.spec import AnswerSpec, ReleaseSpec
from pxeapp.boot.spec import InstallBoot
from pxeapp.config import Settings
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines.models import Cluster, Machine, Network
from pxeapp.nodes import keys
from pxeapp.provisioning import facts, from_rows, pinning, tokens
from pxeapp.provisioning.facts import CardFacts, ClusterFacts, MachineFacts, NetworkFacts, RoleFacts, Urls
from pxeapp.provisioning.models import Deployment
from pxeapp.software import releases as software_releases
from pxeapp.software.models import Release
from pxeapp.software.repositories import signing
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import components
from pxeapp.templates import Templates
from pxeapp.vault import Vault

if TYPE_CHECKING:
    from pxeapp.provisioning.checking import Rehearsal

UNISSUED = "TOKEN"  # stands for a token where an operator looks at what would be rendered
REHEARSED = UNISSUED.ljust(43, "x")  # the same, as long as a token is: lines have limits


@dataclass(frozen=True, slots=True)
class Tools:
    """What composing needs besides rows: our address, what opens secrets, where roles lie.

    A process has them from its Checker or, where machines are answered, from its Provisioner; wiring.py makes both.
    """

    settings: Settings
    vault: Vault
    templates: Templates


def check_deployable(
    session: Session, machine: Machine, *, release: str | None, role: str | None, rehearsal: Rehearsal
) -> tuple[str, str, str]:
    """The release, the role and the snapshot, if this machine can be deployed with them; raises Invalid otherwise.

    Whatever its loader and installer would be told is made and checked: what is wrong is said before all else.
    """
    problems = [*_release_problems(session, release), *_role_problems(session, role)]
    if problems or release is None or role is None:
        raise Invalid(f"{machine.name} cannot be deployed.", problems=problems)
    row = software_releases.bootable(session, release)
    spec = rehearsed(session, rehearsal.checker.tools, machine, row, role, rehearsal.known(session))
    pinning.refuse(session, spec, rehearsal.checker.settings.node_url)
    rehearsal.refuse_faults(machine, row, spec, boot_of(machine, row, spec))
    return release, role, spec.release.snapshot


def rehearsed(
    session: Session, tools: Tools, machine: Machine, release: Release, role: str, known: Known | None = None
) -> AnswerSpec:
    """As the machine would be told in an attempt, with tokens that are nobody's."""
    urls = _urls(tools.settings.node_url, REHEARSED, REHEARSED)
    return answer_spec(session, tools, machine, release, role, urls, known)


def boot_of(machine: Machine, release: Release, spec: AnswerSpec) -> InstallBoot:
    """What the loader of a machine is told for this specification."""
    media = f"media/{release.name}"
    return InstallBoot(
        machine=machine.name,
        mac=machine.mac,
        release=release.name,
        kernel=f"{media}/{release.kernel or 'missing'}",
        initrds=(f"{media}/{release.initrd or 'missing'}",),
        args=render.kernel_args(spec),
    )


def install_boot(session: Session, tools: Tools, machine: Machine, deployment: Deployment, known: Known) -> InstallBoot:
    """What the machine's loader is told in this attempt."""
    release = software_releases.bootable(session, deployment.release)
    urls = urls_of(tools.settings, tools.vault, deployment)
    return boot_of(machine, release, answer_spec(session, tools, machine, release, deployment.role, urls, known))


def preview(session: Session, tools: Tools, machine: Machine, *, release: str, role: str) -> AnswerSpec:
    """The same without an attempt: the tokens are placeholders."""
    row = software_releases.get(session, release)
    return answer_spec(session, tools, machine, row, role, unissued(tools.settings))


def ensure_secrets(session: Session, tools: Tools, machine: Machine, role: str, *, now: dt.datetime) -> None:
    """Make the secrets that its role needs and its cluster does not have yet."""
    clusters.ensure_secrets(session, tools.vault, tools.templates, machine, role, now=now)


class Known:
    """What is the same for many machines, read once for all that are composed with it."""

    def __init__(self, session: Session, tools: Tools, clusters: Mapping[str, Cluster] | None = None) -> None:
        self._session = session
        self._vault, self._templates = tools.vault, tools.templates
        self._role_rows: dict[str, Role] = {}
        self._clusters: dict[str, Cluster] = dict(clusters or {})  # those that only a comparison knows, to begin with
        self._roles: dict[str, RoleFacts] = {}
        self._releases: dict[tuple[str, str], ReleaseSpec] = {}
        self._networks: dict[str, NetworkFacts] | None = None
        self._published: frozenset[str] | None = None
        self._components: dict[str, tuple[str, ...]] = {}

    def role(self, name: str) -> RoleFacts:
        """A role; raises NotFound."""
        if name not in self._roles:
            row = roles.get(self._session, name)
            self._roles[name] = from_rows.role(row)
            self._role_rows[name] = row
        return self._roles[name]

    def cluster(self, name: str | None, role: str, own: Mapping[str, Any]) -> ClusterFacts:
        """A machine's cluster; what is still to be generated for the role has a placeholder among its secrets."""
        if name is None:
            return facts.NO_CLUSTER
        if name not in self._clusters:
            self._clusters[name] = clusters.get(self._session, name)
        row = self._clusters[name]
        said = {**self.role(role).vars, **row.vars, **own}
        needed = knowledge.needed_by(self._role_rows[role], said, self._templates)
        awaited = cluster_secrets.placeholders(needed, said, row.secrets)
        return ClusterFacts(name, row.vars, {**awaited, **row.secrets})

    def opened(self, value: Mapping[str, Any]) -> Any:
        """What a sealed value or a placeholder stands for."""
        return cluster_secrets.opened(self._vault, value)

    def release(self, row: Release, node_url: str) -> ReleaseSpec:
        """A release with our address filled in."""
        if (row.name, node_url) not in self._releases:
            self._releases[row.name, node_url] = from_rows.release(row, node_url)
        return self._releases[row.name, node_url]

    def published(self, name: str) -> bool:
        """Whether a repository of this name is published by the appliance."""
        if self._published is None:
            row = SoftwareRepository
            self._published = frozenset(self._session.scalars(select(row.name).where(row.manifest != "")))
        return name in self._published

    def components(self, place: str) -> tuple[str, ...]:
        """What the appliance's repository at a place below /repo/ is divided into."""
        if place not in self._components:
            self._components[place] = components.seen_by(self._session, place)
        return self._components[place]

    def networks(self) -> dict[str, NetworkFacts]:
        """Every network by name."""
        if self._networks is None:
            self._networks = {row.name: from_rows.network(row) for row in self._session.scalars(select(Network))}
        return self._networks


def answer_spec(
    session: Session,
    tools: Tools,
    machine: Machine,
    release: Release,
    role_name: str,
    urls: Urls,
    known: Known | None = None,
) -> AnswerSpec:
    """From rows to the specification."""
    known = known or Known(session, tools)
    return facts.compose(
        MachineFacts(
            name=machine.name,
            mac=machine.mac,
            vars=machine.vars,
            cards=tuple(CardFacts(row.mac, row.name, row.network, row.address) for row in machine.interfaces),
            disks=tuple(row.known for row in machine.disks),
        ),
        known.release(release, urls.node),
        known.role(role_name),
        known.networks(),
        urls,
        known.cluster(machine.cluster, role_name, machine.vars),
        known.opened,
        partial(keys.public_key, tools.vault),
        Own(known.published, partial(signing.armoured, tools.settings), known.components),
    )


def urls_of(settings: Settings, vault: Vault, deployment: tokens.Attempt) -> Urls:
    """Where the machine finds us in this attempt, its tokens included."""
    config, callback = (tokens.derive(vault, deployment, scope) for scope in (tokens.CONFIG, tokens.CALLBACK))
    return _urls(settings.node_url, config, callback)


def unissued(settings: Settings) -> Urls:
    """The same without an attempt."""
    return _urls(settings.node_url, UNISSUED, UNISSUED)


def _urls(node_url: str, config: str, callback: str) -> Urls:
    return Urls(node=node_url, answer=f"{node_url}/a/{config}", callback=f"{node_url}/c/{callback}")


def _release_problems(session: Session, name: str | None) -> Iterable[FieldProblem]:
    if name is None:
        yield FieldProblem("release", "is not given, and the machine has none.", "Name a release.")
        return
    try:
        software_releases.get(session, name)
    except NotFound:
        known = ", ".join(row.name for row in software_releases.listing(session, limit=20))
        yield FieldProblem("release", f"{name!r} is not known.", f"Known: {known or 'none yet; add one first'}.")


def _role_problems(session: Session, name: str | None) -> Iterable[FieldProblem]:
    if name is None:
        yield FieldProblem("role", "is not given, and the machine has none.", "Name a role.")
        return
    if session.scalar(select(Role.id).where(Role.name == name)) is None:
        known = ", ".join(row.name for row in roles.listing(session, limit=20))
        yield FieldProblem("role", f"{name!r} is not known.", f"Known: {known}.")
