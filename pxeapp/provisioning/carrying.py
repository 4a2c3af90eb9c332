"""Whether the release that a machine is saved with can carry its role: an OpenStack series, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers.models import Role
from pxeapp.answers.roles import work
from pxeapp.answers.roles.definition import BadRole
from pxeapp.answers.spec import ReleaseSpec, Repository
from pxeapp.errors import FieldProblem
from pxeapp.machines.models import Cluster
from pxeapp.machines.service import Draft
from pxeapp.provisioning import lacking
from pxeapp.software.models import Release
from pxeapp.templates import Templates

MATTERS = frozenset({"role", "release", "vars", "cluster"})


@dataclass(frozen=True, slots=True)
class Carrying:
    """What it is checked against, read once for a whole import."""

    templates: Templates
    releases: Mapping[str, ReleaseSpec]
    roles: Mapping[str, Mapping[str, Any]]  # their variables
    clusters: Mapping[str, Mapping[str, Any]]
    declared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # what each role's row says of variables
    secrets: Mapping[str, Set[str]] = field(default_factory=dict)  # the names of those that each cluster has

    def lacking(self, draft: Draft) -> list[FieldProblem]:
        """What its role needs and nobody says; nothing for a machine that has no cluster yet."""
        role, cluster = draft.role or "", draft.cluster or ""
        if not draft.given & MATTERS or role not in self.roles or cluster not in self.clusters:
            return []
        said = {**self.roles[role], **self.clusters[cluster], **draft.vars}
        row = Role(name=role, variables=self.declared.get(role, {}))
        return lacking.of_role(row, said, self.secrets.get(cluster, frozenset()), self.templates)

    def problems(self, draft: Draft) -> list[FieldProblem]:
        """Why not; nothing for a machine that has no role or no release yet."""
        release = self.releases.get(draft.release or "")
        if not draft.given & MATTERS or release is None or draft.role is None or draft.role not in self.roles:
            return []
        said = {**self.roles[draft.role], **self.clusters.get(draft.cluster or "", {}), **draft.vars}
        try:
            return work.uncarried(draft.role, release, said, self.templates)
        except BadRole:
            return []  # a mistake in a role's data is said where the role is used


def carrying(session: Session, templates: Templates) -> Carrying:
    """As everything is now."""
    rows = session.execute(
        select(Release.name, Release.family, Release.version, Release.installer, Release.repositories)
    )
    return Carrying(
        templates,
        {name: _release(name, family, version, installer, said) for name, family, version, installer, said in rows},
        {row.name: row.vars for row in session.execute(select(Role.name, Role.vars))},
        {row.name: row.vars for row in session.execute(select(Cluster.name, Cluster.vars))},
        {row.name: row.variables for row in session.execute(select(Role.name, Role.variables))},
        {row.name: row.secrets.keys() for row in session.execute(select(Cluster.name, Cluster.secrets))},
    )


def _release(name: str, family: str, version: str, installer: str, repositories: list[Any]) -> ReleaseSpec:
    """As much of a release as the table of series asks for."""
    named = tuple(Repository(str(each.get("name", "")), "") for each in repositories)
    return ReleaseSpec(name, family, version, installer, "", repositories=named)
