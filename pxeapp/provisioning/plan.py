"""Composes what the capabilities know of a machine into what it boots and what its installer is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netaddr import IPNetwork
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import releases as dialects
from pxeapp.answers import render, roles, variables
from pxeapp.answers.models import Role
from pxeapp.answers.spec import AnswerSpec, Card, ReleaseSpec, Repository
from pxeapp.boot.spec import InstallBoot
from pxeapp.config import Settings
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines.models import Interface, Machine, Network
from pxeapp.provisioning import tokens
from pxeapp.provisioning.models import Deployment
from pxeapp.software import releases as software_releases
from pxeapp.software.models import Release
from pxeapp.vault import Vault

UNISSUED = "TOKEN"  # stands for a token where an operator looks at what would be rendered
NOWHERE = "http://appliance.invalid:8081"  # stands for our address where only the rest is checked


def check_deployable(session: Session, machine: Machine, *, release: str | None, role: str | None) -> tuple[str, str]:
    """The release and role, if this machine can be deployed with them; raises Invalid with every problem."""
    problems = [*_release_problems(session, release), *_role_problems(session, role)]
    if problems or release is None or role is None:
        raise Invalid(f"{machine.name} cannot be deployed.", problems=problems)
    row = software_releases.bootable(session, release)
    # Whatever its installer would be told is made once now: what is wrong with it is said before anything is touched.
    boot_of(machine, row, answer_spec(session, machine, row, role, **_urls(NOWHERE, UNISSUED, UNISSUED)))
    return release, role


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


def install_boot(
    session: Session, settings: Settings, vault: Vault, machine: Machine, deployment: Deployment
) -> InstallBoot:
    """What the machine's loader is told in this attempt."""
    release = software_releases.bootable(session, deployment.release)
    return boot_of(machine, release, _spec(session, settings, vault, machine, release, deployment))


def answers_of(
    session: Session, settings: Settings, vault: Vault, machine: Machine, deployment: Deployment
) -> AnswerSpec:
    """The specification of this attempt's answer file, with its tokens."""
    release = software_releases.get(session, deployment.release)
    return _spec(session, settings, vault, machine, release, deployment)


def preview(session: Session, settings: Settings, machine: Machine, *, release: str, role: str) -> AnswerSpec:
    """The same without an attempt: the tokens are placeholders."""
    row = software_releases.get(session, release)
    return answer_spec(session, machine, row, role, **_urls(settings.node_url, UNISSUED, UNISSUED))


def answer_spec(
    session: Session,
    machine: Machine,
    release: Release,
    role_name: str,
    *,
    node_url: str,
    answer_url: str,
    callback_url: str,
) -> AnswerSpec:
    """From rows to the specification. A machine's own variables win over its role's."""
    role = roles.get(session, role_name)
    said: dict[str, Any] = {**role.vars, **machine.vars}
    known = variables.read(said)
    networks = {row.name: row for row in session.scalars(select(Network))}
    boot, cards = _cards(machine, networks)
    network = _boot_network(machine, networks)
    package_family = "el" if release.family in dialects.EL_FAMILIES else "debian"
    return AnswerSpec(
        hostname=machine.name,
        domain=known.domain if known.domain is not None else network.domain if network else "",
        boot=boot,
        cards=cards,
        release=_release(release, node_url),
        role=role.name,
        packages=(*role.packages.get(package_family, ()), *known.packages),
        services=tuple(role.services.get(package_family, [])),
        answer_url=answer_url,
        callback_url=callback_url,
        system_disk=next((disk.path for disk in machine.disks if disk.purpose == "system"), None),
        data_disks=tuple(disk.path for disk in machine.disks if disk.purpose == "data"),
        keep_disks=tuple(disk.path for disk in machine.disks if disk.purpose == "keep"),
        layout=known.layout or str(role.storage.get("layout", "plain")),
        timezone=known.timezone,
        locale=known.locale,
        keyboard=known.keyboard,
        ntp=known.ntp if known.ntp is not None else tuple(network.ntp) if network else (),
        ssh_keys=known.ssh_authorized_keys,
        root_password_hash=known.root_password_hash,
        vars=said,
    )


def _spec(
    session: Session,
    settings: Settings,
    vault: Vault,
    machine: Machine,
    release: Release,
    deployment: Deployment,
) -> AnswerSpec:
    config, callback = (tokens.derive(vault, deployment, scope) for scope in (tokens.CONFIG, tokens.CALLBACK))
    return answer_spec(session, machine, release, deployment.role, **_urls(settings.node_url, config, callback))


def _urls(node_url: str, config: str, callback: str) -> dict[str, str]:
    return {"node_url": node_url, "answer_url": f"{node_url}/a/{config}", "callback_url": f"{node_url}/c/{callback}"}


def _release(row: Release, node_url: str) -> ReleaseSpec:
    def filled(url: str) -> str:
        return url.replace("{node_url}", node_url)

    return ReleaseSpec(
        name=row.name,
        family=row.family,
        version=row.version,
        installer=row.installer,
        install_url=filled(row.install_url),
        repositories=tuple(
            Repository(
                name=said["name"],
                url=filled(said["url"]),
                suite=said.get("suite", ""),
                components=said.get("components", ""),
                key=filled(said.get("key", "")),
            )
            for said in row.repositories
        ),
        kernel_args=row.kernel_args,
        udeb_suite=row.settings.get("udeb_suite", ""),
        net_image=filled(str(row.settings.get("net_image", ""))),
        allow_unauthenticated=bool(row.settings.get("allow_unauthenticated")),
    )


def _cards(machine: Machine, networks: dict[str, Network]) -> tuple[Card, tuple[Card, ...]]:
    boot = Card(machine.mac)
    others = []
    for row in machine.interfaces:
        card = _card(row, networks.get(row.network or ""), boots=row.mac == machine.mac)
        if row.mac == machine.mac:
            boot = card
        elif row.network is not None:
            others.append(card)
    return boot, tuple(others)


def _card(row: Interface, network: Network | None, *, boots: bool) -> Card:
    if row.address is None or network is None:
        return Card(row.mac, row.name)
    if boots and network.dhcp_start is not None:
        return Card(row.mac, row.name)  # its address is a reservation: DHCP gives it, to the installer too
    prefix = IPNetwork(network.cidr).prefixlen
    return Card(
        row.mac,
        row.name,
        address=f"{row.address}/{prefix}",
        gateway=network.gateway if boots else None,
        dns=tuple(network.dns) if boots else (),
        vlan=None if boots else network.vlan,
    )


def _boot_network(machine: Machine, networks: dict[str, Network]) -> Network | None:
    card = next((row for row in machine.interfaces if row.mac == machine.mac), None)
    if card is not None and card.network is not None:
        return networks.get(card.network)
    return next(iter(networks.values())) if len(networks) == 1 else None


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
