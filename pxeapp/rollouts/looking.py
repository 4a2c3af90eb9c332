"""What is shown of rollouts besides their rows: how many machines stand where, who is down, which need a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from pxeapp.rollouts import standing
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember, RolloutStep
from pxeapp.rollouts.plan import Plan

MEMBER_STATES = ("waiting", "running", "done", "failed", "skipped", "aborted")
STATES = ("planned", "running", "paused", "aborting", "done", "failed", "aborted")
OPEN = ("planned", "running", "paused", "aborting")
LATELY = dt.timedelta(days=1)
NAMED = 5  # machines that are down, of one limit


By = dict[int, dict[str, int]]  # how many machines, by wave and state


@dataclass(frozen=True, slots=True)
class Limit:
    """How many are down of how many may be; `who`: the first of them, with why."""

    name: str  # empty: the rollout's own
    down: int
    allowed: int
    says: str
    who: Sequence[str]
    more: int

    def to_dict(self) -> dict[str, Any]:
        """For the wire."""
        return {
            "name": self.name or "rollout", "down": self.down, "allowed": self.allowed, "says": self.says,
            "who": list(self.who), "more": self.more,
        }  # fmt: skip


def by_wave(session: Session, rollouts: Sequence[Rollout]) -> dict[int, By]:
    """How many machines of each rollout are in which state, wave by wave."""
    found: dict[int, By] = {each.id: {} for each in rollouts}
    query = (
        select(RolloutMember.rollout_id, RolloutMember.wave, RolloutMember.state, func.count())
        .where(RolloutMember.rollout_id.in_(found))
        .group_by(RolloutMember.rollout_id, RolloutMember.wave, RolloutMember.state)
    )
    for rollout, wave, state, number in session.execute(query):
        found[rollout].setdefault(wave, {})[state] = number
    return found


def counts(by: By) -> dict[str, int]:
    """The same over all waves."""
    return {state: sum(each.get(state, 0) for each in by.values()) for state in MEMBER_STATES}


def in_hand(session: Session, rollout: Rollout, *, limit: int) -> Sequence[RolloutMember]:
    """Machines that somebody has to look at, then those that are worked on."""
    found = select(RolloutMember).where(
        RolloutMember.rollout_id == rollout.id, RolloutMember.state.in_(("failed", "running"))
    )
    first = case((RolloutMember.state == "failed", 0), else_=1)
    return session.scalars(found.order_by(first, RolloutMember.wave, RolloutMember.position).limit(limit)).all()


def under_way(session: Session, members: Sequence[RolloutMember]) -> dict[int, RolloutStep]:
    """The try that runs now, by member."""
    numbers = [each.id for each in members if each.state == "running"]
    found = select(RolloutStep).where(RolloutStep.member_id.in_(numbers), RolloutStep.finished_at.is_(None))
    return {each.member_id: each for each in session.scalars(found)}


def latest(session: Session, rollout: Rollout, *, limit: int) -> Sequence[RolloutEvent]:
    """The last lines of its course, the newest first."""
    found = select(RolloutEvent).where(RolloutEvent.rollout_id == rollout.id).order_by(RolloutEvent.id.desc())
    return session.scalars(found.limit(limit)).all()


def budget(session: Session, plan: Plan) -> list[Limit]:
    """The rollout's own limit, then each invariant's, as they are used up now."""
    down = standing.down(session, {*plan.machines, *(each for group in plan.groups for each in group.domain_of)})
    mine = [each for each in plan.machines if each in down]
    found = [_limit("", len(mine), plan.max_unavailable, "", mine, down)]
    for group in plan.groups:
        theirs = [each for each in group.domain_of if each in down]
        found.append(_limit(group.name, len(group.domains(theirs)), group.allowed, f"{group.says}.", theirs, down))
    return found


def _limit(name: str, number: int, allowed: int, says: str, who: Sequence[int], down: Mapping[int, str]) -> Limit:
    return Limit(name, number, allowed, says, [down[each] for each in who[:NAMED]], max(0, len(who) - NAMED))


def present(session: Session, *, now: dt.datetime, limit: int) -> Sequence[Rollout]:
    """Rollouts that are not over or that failed lately: those that wait for a person first."""
    first = case({"paused": 0, "failed": 1, "aborting": 2, "running": 2}, value=Rollout.state, else_=3)
    lately = and_(Rollout.state == "failed", Rollout.finished_at > now - LATELY)
    found = select(Rollout).where(or_(Rollout.state.in_(OPEN), lately)).order_by(first, Rollout.id.desc())
    return session.scalars(found.limit(limit)).all()


def of_machine(session: Session, machine_id: int) -> RolloutMember | None:
    """The machine's place in a rollout that is not over."""
    return session.scalar(
        select(RolloutMember)
        .join(Rollout, Rollout.id == RolloutMember.rollout_id)
        .where(RolloutMember.machine_id == machine_id, Rollout.state.in_(OPEN))
        .order_by(RolloutMember.id.desc())
        .limit(1)
    )
