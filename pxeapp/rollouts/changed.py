"""What machines are installed from stays, for a rollout, what it was when that was started.

A reinstallation is rendered when its machine's turn comes, with templates, releases, roles, clusters and networks of
the edition in which the rollout began (provisioning/editions.py). Little cannot be kept so: other files of a release,
what was deleted, and the scripts of the boot loaders. For these the rollout pauses, and whoever resumes it takes what
there is now.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from pxeapp.answers.models import TemplateVersion
from pxeapp.provisioning import editions
from pxeapp.provisioning.editions import AS_IT_IS, ONE, OURS, Edition
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.rollouts.spec import Spec
from pxeapp.sentences import few
from pxeapp.versions import CLUSTERS, NETWORKS, RELEASES, ROLES, Version

NAMED = 5
EDITS = "edits"  # what `passed` keeps the edition under
OTHER_FILES = "replace"  # how a version of a release is called whose kernel or initrd is another one


def mark(session: Session) -> dict[str, Any]:
    """The edition of now, as it is kept with the rollout."""
    return {EDITS: editions.present(session)._asdict()}


def edition(rollout: Rollout) -> Edition | None:
    """The one that its machines are installed from; None before it was started."""
    return editions.of(next((each[EDITS] for each in rollout.passed if EDITS in each), None))


def since(session: Session, rollout: Rollout, begun: Edition) -> str:
    """What its machines would be given otherwise than the first ones, as a sentence; empty: nothing."""
    spec = Spec.model_validate(rollout.spec)
    if spec.action.reinstall is None:
        return ""
    of_loaders = or_(*(TemplateVersion.path.startswith(each) for each in AS_IT_IS))
    templates = session.execute(
        select(TemplateVersion.path, TemplateVersion.author)
        .where(TemplateVersion.id > begun.templates, of_loaders)
        .order_by(TemplateVersion.id)
    ).all()
    said = [f"the template {path} was edited by {author}" for path, author in templates]
    gone = Version.body.is_(None)
    rows = session.execute(
        select(Version.kind, Version.name, Version.author, gone)
        .where(
            Version.id > begun.versions,
            Version.author.not_like(OURS),
            or_(gone, and_(Version.kind == RELEASES, Version.action == OTHER_FILES)),
            or_(*_concerned(session, rollout, spec)),
        )
        .order_by(Version.id)
    ).all()
    for kind, name, author, deleted in rows:
        said.append(f"the {ONE[kind]} {name} was deleted by {author}" if deleted else
                    f"the release {name} got other files by {author}")  # fmt: skip
    said = list(dict.fromkeys(said))
    if not said:
        return ""
    return f"Since it was started {few(said, NAMED, last=', and ')}. Whoever resumes it takes everything as it is now."


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
