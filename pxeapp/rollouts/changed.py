"""Whether what machines are installed from is still what it was when a rollout was started.

A reinstallation is rendered when its machine's turn comes. An edit made meanwhile, of a template, a release, a role, a
cluster or a network, must not reach the machines that are left without anybody wanting that: the rollout pauses, and
whoever resumes it takes the edit.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from pxeapp.answers.models import TemplateVersion
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.rollouts.spec import Spec
from pxeapp.versions import CLUSTERS, NETWORKS, RELEASES, ROLES, Version

NAMED = 5
ONE = {NETWORKS: "network", RELEASES: "release", ROLES: "role", CLUSTERS: "cluster"}
OURS = "system:%"  # secrets that are made when the first machine needs them, media found ready: nobody's edit


def mark(session: Session) -> dict[str, Any]:
    """How far the edits have come; kept with the rollout."""
    return {
        "versions": session.scalar(select(func.max(Version.id))) or 0,
        "templates": session.scalar(select(func.max(TemplateVersion.id))) or 0,
    }


def since(session: Session, rollout: Rollout, mark: dict[str, Any]) -> str:
    """What was edited since then that its machines are installed from, as a sentence; empty: nothing."""
    spec = Spec.model_validate(rollout.spec)
    if spec.action.reinstall is None:
        return ""
    templates = session.execute(
        select(TemplateVersion.path, TemplateVersion.author)
        .where(TemplateVersion.id > mark["templates"])
        .order_by(TemplateVersion.id)
    ).all()
    said = [f"the template {path} by {author}" for path, author in templates]
    rows = session.execute(
        select(Version.kind, Version.name, Version.author)
        .where(Version.id > mark["versions"], Version.author.not_like(OURS), or_(*_concerned(session, rollout, spec)))
        .order_by(Version.id)
    ).all()
    said += [f"the {ONE[kind]} {name} by {author}" for kind, name, author in rows]
    said = list(dict.fromkeys(said))
    if not said:
        return ""
    more = f" and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return f"Edited since it was started: {', '.join(said[:NAMED])}{more}. Whoever resumes it takes that."


def _concerned(session: Session, rollout: Rollout, spec: Spec) -> list[ColumnElement[bool]]:
    found = session.execute(
        select(RolloutMember.role, RolloutMember.release, RolloutMember.cluster)
        .where(RolloutMember.rollout_id == rollout.id)
        .distinct()
    ).all()
    to = spec.action.chosen
    return [
        Version.kind == NETWORKS,
        _named(ROLES, {to.role or row.role for row in found}),
        _named(RELEASES, {to.release or row.release for row in found}),
        _named(CLUSTERS, {row.cluster for row in found}),
    ]


def _named(kind: str, names: Collection[str | None]) -> ColumnElement[bool]:
    return and_(Version.kind == kind, Version.name.in_([name for name in names if name]))
