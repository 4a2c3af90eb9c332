"""Rollouts previewed, made and looked at, each inside the caller's session. What they do then is control.py's.

    found = service.preview(session, spec, tools=tools, now=now)                # nothing is saved
    row = service.create(session, spec, tools=tools, actor=actor, now=now)      # planned; refuses the same

Both raise Invalid with every reason at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.errors import FieldProblem, NotFound
from pxeapp.machines import selectors
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts import choosing, history, pinning, standing, targets
from pxeapp.rollouts import forecast as forecasts
from pxeapp.rollouts import plan as plans
from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.forecast import Forecast, Left
from pxeapp.rollouts.invariants import Serving
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember, RolloutStep
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec

AT_ONCE = 500
OF_MACHINES = ("order.canary", "order.waves.first", "order.pause_after")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rollout would do. `findings`: what a reader should know, besides the plan's own notes."""

    plan: Plan
    forecast: Forecast
    findings: tuple[str, ...]
    machines: dict[int, Serving] = field(repr=False)  # by number, as they stand now


def preview(session: Session, spec: Spec, *, tools: Tools, now: dt.datetime) -> Preview:
    """What it would do, and how long it may take; refuses all that `create` refuses."""
    numbers, problems = choosing.chosen(session, spec.machines)
    unfit, why = choosing.unfit(session, numbers)
    problems += why
    problems += choosing.shared(session, numbers)
    problems += targets.problems(session, tools, spec, numbers)
    about = choosing.about(session, numbers).values() if spec.action.patch is not None else ()
    problems += pinning.problems(
        session, spec.action.patch, {each.release for each in about}, {each.role for each in about}
    )
    everyone = standing.everyone(session)
    by_number = {each.machine_id: each for each in everyone}
    chosen = [by_number[number] for number in numbers if number in by_number and number not in unfit]
    if problems and not chosen:  # why there are none is told above
        raise plans.refused(problems)
    took = history.read(session, spec, {each.role for each in chosen}, now=now)
    roles = {each.machine_id: each.role for each in chosen}
    plan, wrong = plans.draft(spec, chosen, everyone)
    expected = forecasts.estimate(spec, plan, _untouched(plan, roles), took, now=now)
    # Names and values of machines that cannot be rolled over are no mistake of their own.
    problems += [each for each in wrong if not (unfit and each.field in OF_MACHINES)]
    if chosen:
        problems += plans.too_short(spec, now=now, typical=expected.typical)
        problems += _too_late(spec, expected)
    if problems:
        raise plans.refused(problems)
    return Preview(plan, expected, tuple(expected.notes), {each.machine_id: each for each in chosen})


def create(session: Session, spec: Spec, *, tools: Tools, actor: str, now: dt.datetime) -> Rollout:
    """Keep it, planned: nothing begins before it is started. Later changes of machines and roles do not reach it."""
    observing.refuse(session)
    found = preview(session, spec, tools=tools, now=now)
    row = Rollout(
        name=spec.name, spec=spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
        plan=found.plan.to_dict(), wave=found.plan.waves[0].number, created_by=actor, created_at=now, due_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    held_to = pinning.fix(session, row, spec.action.patch)
    about = choosing.about(session, found.plan.machines)
    members = [
        {
            "rollout_id": row.id, "machine_id": number, "machine": about[number].name, "role": about[number].role,
            "release": about[number].release, "cluster": about[number].cluster, "wave": wave.number,
            "position": position, "due_at": now,
        }
        for wave in found.plan.waves
        for position, number in enumerate(wave.machines)
    ]  # fmt: skip
    for start in range(0, len(members), AT_ONCE):
        session.execute(insert(RolloutMember), members[start : start + AT_ONCE])
    said = (
        f"Planned by {actor}: {len(members)} machines in {len(found.plan.waves)} waves. {found.forecast.says}{held_to}"
    )
    session.add(RolloutEvent(rollout_id=row.id, at=now, kind="planned", message=said, evidence={}))
    audit.record(
        session, at=now, actor=actor, action="rollout.create", subject=f"rollout {row.id}", name=row.name,
        does=spec.action.kind, machines=len(members), waves=len(found.plan.waves), after=row.spec,
    )  # fmt: skip
    return row


def get(session: Session, number: int, *, lock: bool = False) -> Rollout:
    """A rollout by its number; raises NotFound."""
    row = session.get(Rollout, number, with_for_update=True if lock else None) if 0 < number < 2**31 else None
    if row is None:
        raise NotFound(f"There is no rollout {number}.", hint="See: pxeapp rollout list")
    return row


def listing(session: Session, after: int, limit: int, state: str = "") -> Sequence[Rollout]:
    """Rollouts in the order in which they were made."""
    found = select(Rollout).where(Rollout.id > after).order_by(Rollout.id).limit(limit)
    return session.scalars(found.where(Rollout.state == state) if state else found).all()


def members(
    session: Session, rollout: Rollout, after: int, limit: int, wave: int | None = None, state: str = ""
) -> Sequence[RolloutMember]:
    """Its machines in the order in which they are worked on."""
    found = select(RolloutMember).where(RolloutMember.rollout_id == rollout.id, RolloutMember.id > after)
    if wave is not None:
        found = found.where(RolloutMember.wave == wave)
    if state:
        found = found.where(RolloutMember.state == state)
    return session.scalars(found.order_by(RolloutMember.id).limit(limit)).all()


def member(session: Session, rollout: Rollout, key: str) -> RolloutMember:
    """One of its machines, by the name that it had then, or by any of those that it has now; raises NotFound."""
    mine = select(RolloutMember).where(RolloutMember.rollout_id == rollout.id)
    row = session.scalar(mine.where(RolloutMember.machine == key)) if "\0" not in key else None
    if row is None:
        row = session.scalar(mine.where(RolloutMember.machine_id == selectors.get(session, key).id))
    if row is None:
        raise NotFound(
            f"{key[:80]} is not part of rollout {rollout.id}.", hint=f"See: pxeapp rollout show {rollout.id}"
        )
    return row


def events(session: Session, rollout: Rollout, after: int, limit: int) -> Sequence[RolloutEvent]:
    """What happened, oldest first."""
    found = select(RolloutEvent).where(RolloutEvent.rollout_id == rollout.id, RolloutEvent.id > after)
    return session.scalars(found.order_by(RolloutEvent.id).limit(limit)).all()


def steps(session: Session, row: RolloutMember) -> Sequence[RolloutStep]:
    """Every try of each step of a machine, in the order in which they began."""
    found = select(RolloutStep).where(RolloutStep.member_id == row.id)
    return session.scalars(found.order_by(RolloutStep.started_at, RolloutStep.id)).all()


def forecast(session: Session, rollout: Rollout, *, now: dt.datetime) -> Forecast:
    """How long it may still take: what is done already corrects what is to come."""
    spec, plan = Spec.model_validate(rollout.spec), Plan.from_dict(rollout.plan)
    began = select(
        RolloutStep.member_id, RolloutStep.step, func.max(RolloutStep.started_at).label("at")
    ).where(RolloutStep.outcome.is_(None)).group_by(RolloutStep.member_id, RolloutStep.step).subquery()  # fmt: skip
    rows = session.execute(
        select(RolloutMember.machine_id, RolloutMember.role, RolloutMember.wave, RolloutMember.step, began.c.at)
        .outerjoin(began, (began.c.member_id == RolloutMember.id) & (began.c.step == RolloutMember.step))
        .where(RolloutMember.rollout_id == rollout.id, RolloutMember.state.in_(("waiting", "running")))
        .order_by(RolloutMember.id)
    )
    left: dict[int, list[Left]] = {}
    for machine, role, wave, step, at in rows:
        elapsed = max(0.0, (now - at).total_seconds()) if at else 0.0
        left.setdefault(wave, []).append(Left(machine, role, step if at else "", elapsed))
    roles = {each.role for some in left.values() for each in some}
    took = history.read(session, spec, roles, now=now)
    return forecasts.estimate(spec, plan, left, took, now=now, rollout=rollout.id)


def _untouched(plan: Plan, roles: dict[int, str | None]) -> dict[int, list[Left]]:
    return {wave.number: [Left(each, roles[each]) for each in wave.machines] for wave in plan.waves}


def _too_late(spec: Spec, expected: Forecast) -> list[FieldProblem]:
    """A deadline before which not even a quick course would end."""
    deadline, least = spec.order.deadline, expected.least
    if deadline is None or least is None or least <= deadline:
        return []
    minutes = dt.timedelta(minutes=max(1, round(least.total_seconds() / 60)))
    rests = "by a guess" if expected.guessed else "by what this site has measured"
    problem = f"It allows {as_text(deadline)}, and {rests} this takes at least {as_text(minutes)}."
    fix = "Allow more time, allow more machines to be down at once, or take fewer machines."
    return [FieldProblem("order.deadline", problem, fix)]
