"""How long things took at this site: of rollouts' own steps, and of deployments for what is installed anew."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts import scope
from pxeapp.provisioning.lifecycle import SUCCEEDED
from pxeapp.provisioning.models import DeploymentRecord
from pxeapp.rollouts.course import REINSTALL, SOAK, steps_of
from pxeapp.rollouts.forecast import Took, like
from pxeapp.rollouts.models import Rollout, RolloutMember, RolloutStep
from pxeapp.rollouts.spec import Spec

REACH = dt.timedelta(days=365)
MOST = 1000  # of one step: the last ones


def read(session: Session, spec: Spec, roles: Collection[str | None], *, now: dt.datetime) -> list[Took]:
    """What is known of the steps of such a rollout, the newest first; of all machines, whoever asks."""
    with scope.lifted():
        alike: dict[int, Spec] = {}
        found: list[Took] = []
        for step in steps_of(spec):
            if step != SOAK:
                found += _steps(session, step, alike, now)
        if spec.action.kind == REINSTALL:
            found += _deployments(session, spec, roles, now)
        return found


def _steps(session: Session, step: str, alike: dict[int, Spec], now: dt.datetime) -> Iterable[Took]:
    """`alike`: the texts of rollouts that were read already."""
    rows = session.execute(
        select(RolloutStep.started_at, RolloutStep.finished_at, RolloutMember.role, RolloutMember.rollout_id)
        .join(RolloutMember, RolloutMember.id == RolloutStep.member_id)
        .where(RolloutStep.step == step, RolloutStep.outcome == "done", RolloutStep.finished_at > now - REACH)
        .order_by(RolloutStep.finished_at.desc())
        .limit(MOST)
    ).all()
    if missing := {row.rollout_id for row in rows} - alike.keys():
        texts = session.execute(select(Rollout.id, Rollout.spec).where(Rollout.id.in_(missing)))
        for number, said in texts:
            with contextlib.suppress(ValidationError):  # an earlier version took what this one does not
                alike[number] = Spec.model_validate(said)
    for began, ended, role, rollout in rows:
        if ended is not None and rollout in alike:
            yield Took(step, like(alike[rollout], step), role, max(0.0, (ended - began).total_seconds()), rollout)


def _deployments(session: Session, spec: Spec, roles: Collection[str | None], now: dt.datetime) -> Iterable[Took]:
    """Deployments that nobody rolled out install machines as well; of this release where one is named."""
    record = DeploymentRecord
    conditions: list[Any] = [record.outcome == SUCCEEDED, record.finished_at > now - REACH]
    if wanted := spec.action.chosen.release:
        conditions.append(record.release == wanted)
    if any(roles):
        conditions.append(record.role.in_([role for role in roles if role]))
    rows = session.execute(
        select(record.role, record.took_ms).where(*conditions).order_by(record.finished_at.desc()).limit(MOST)
    )
    for role, took in rows:
        yield Took(REINSTALL, like(spec, REINSTALL), role, took / 1000)
