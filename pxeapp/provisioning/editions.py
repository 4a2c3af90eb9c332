"""What machines are installed from, as it was at one moment: a rollout's machines are all given the same.

An edition is two numbers, the last version of rows and the last one of templates that belong to it. Nothing is copied:
what was not edited since is read as it is now, and of what was, the version of then (versions.py keeps them). Secrets
are always those of now, for a password that was changed in between is good nowhere any more. So is what a loader is
told by the site's own scripts in boot/, and the files of a release: see rollouts/changed.py for what follows from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp.answers.models import Role, TemplateVersion
from pxeapp.answers.site_templates import BY_HAND
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.errors import Invalid
from pxeapp.machines.models import Network
from pxeapp.provisioning import from_rows
from pxeapp.provisioning.facts import ClusterFacts, NetworkFacts, RoleFacts
from pxeapp.provisioning.plan import Known, Tools
from pxeapp.software.models import Release
from pxeapp.software.releases import CHANGEABLE
from pxeapp.versions import CLUSTERS, FOUND, NETWORKS, RELEASES, ROLES, Version

OURS = "system:%"  # secrets that are made when the first machine needs them, media found ready: nobody's edit
AS_IT_IS = ("boot/",)  # templates of which every machine is given the present ones
ONE = {NETWORKS: "network", RELEASES: "release", ROLES: "role", CLUSTERS: "cluster"}


class Edition(NamedTuple):
    """The numbers of the last versions that belong to it."""

    versions: int
    templates: int


def present(session: Session) -> Edition:
    """As everything is now."""
    return Edition(
        session.scalar(select(func.max(Version.id))) or 0, session.scalar(select(func.max(TemplateVersion.id))) or 0
    )


def of(said: Mapping[str, int] | None) -> Edition | None:
    """From what a row keeps of it."""
    return Edition(said["versions"], said["templates"]) if said else None


def means(session: Session, tools: Tools, edition: Edition | None) -> tuple[Tools, Known]:
    """What to compose and to render with; None: with everything as it is now."""
    if edition is None:
        return tools, Known(session, tools)
    if texts := _texts(session, edition):
        tools = Tools(tools.settings, tools.vault, tools.templates.proposing(texts))
    return tools, AsOf(session, tools, edition)


class AsOf(Known):
    """Rows as they were."""

    def __init__(self, session: Session, tools: Tools, edition: Edition) -> None:
        super().__init__(session, tools)
        self._before = _bodies(session, edition)

    def role(self, name: str) -> RoleFacts:
        """A role; raises NotFound, or Invalid where nobody knows any more what it was."""
        body = self._body(ROLES, name)
        if body is None or name in self._roles:
            return super().role(name)
        row = Role(name=name, **body)  # of no session: it is never written
        self._roles[name] = from_rows.role(row)
        self._role_rows[name] = row
        return self._roles[name]

    def cluster(self, name: str | None, role: str, own: Mapping[str, Any]) -> ClusterFacts:
        """A machine's cluster, with its secrets of now."""
        found = super().cluster(name, role, own)
        body = self._body(CLUSTERS, name) if name is not None else None
        return found if body is None else replace(found, vars=body["vars"])

    def release(self, row: Release, node_url: str) -> ReleaseSpec:
        """A release, of what an operator may change of it."""
        body = self._body(RELEASES, row.name)
        if body is None:
            return super().release(row, node_url)
        fields = ("name", "family", "version", "installer")
        before = Release(
            **{field: getattr(row, field) for field in fields}, **{each: body[each] for each in CHANGEABLE}
        )
        return super().release(before, node_url)

    def networks(self) -> dict[str, NetworkFacts]:
        """Every network by name; one that came later is there as it is, for machines that moved to it."""
        if self._networks is None:
            found = super().networks()
            for (kind, name), body in self._before.items():
                if kind == NETWORKS and name in found and body is not None:
                    found[name] = from_rows.network(Network(name=name, **body))
        return super().networks()

    def _body(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """What it was; None: it was not edited since."""
        if (kind, name) not in self._before:
            return None
        body = self._before[kind, name]
        if body is None:
            raise Invalid(
                f"What the {ONE[kind]} {name} was when this began is not kept any more.",
                hint="Abort the rollout and make it anew: it takes everything as it is then.",
            )
        return body


def _bodies(session: Session, edition: Edition) -> dict[tuple[str, str], Mapping[str, Any] | None]:
    """Of each thing that somebody edited since: what it was; None where no version tells."""
    edited = session.execute(
        select(Version.kind, Version.name)
        .where(Version.id > edition.versions, Version.author.not_like(OURS))
        .distinct()
    ).all()
    return {(kind, name): _body(session, edition, kind, name) for kind, name in edited}


def _body(session: Session, edition: Edition, kind: str, name: str) -> Mapping[str, Any] | None:
    of_it = select(Version.body, Version.action).where(Version.kind == kind, Version.name == name)
    last = session.execute(of_it.where(Version.id <= edition.versions).order_by(Version.id.desc()).limit(1)).first()
    if last is None:  # what was there before anybody kept versions of it is written down with its first change
        last = session.execute(of_it.where(Version.action == FOUND).order_by(Version.id).limit(1)).first()
    return None if last is None else last.body


def _texts(session: Session, edition: Edition) -> dict[str, str | None]:
    """The site's own templates that were edited since, as they were; None: ours counted."""
    edited = session.scalars(
        select(TemplateVersion.path).where(TemplateVersion.id > edition.templates).distinct()
    ).all()
    return {path: _text(session, edition, path) for path in edited if not path.startswith(AS_IT_IS)}


def _text(session: Session, edition: Edition, path: str) -> str | None:
    of_it = select(TemplateVersion.content, TemplateVersion.author).where(TemplateVersion.path == path)
    last = session.execute(
        of_it.where(TemplateVersion.id <= edition.templates).order_by(TemplateVersion.id.desc()).limit(1)
    ).first()
    if last is None:  # one that lay in the folder all along is written down when somebody first looks
        first = session.execute(of_it.order_by(TemplateVersion.id).limit(1)).first()
        last = first if first is not None and first.author == BY_HAND else None
    return None if last is None else last.content
