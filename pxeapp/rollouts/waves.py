"""Wave after wave: what is to be done with a rollout at this moment, in one transaction, from the rows alone.

Machines begin as far as the budget allows; when all of a wave are through, and watched for as long as the spec says,
the next begins. It pauses by itself at a pause point, when more have failed than are borne, and at its deadline. A
paused rollout begins nothing; what is in hand is brought to its end.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.errors import Conflict
from pxeapp.provisioning import breaker
from pxeapp.rollouts import budget, changed, course, standing
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec
from pxeapp.sentences import few

PLANNED, RUNNING, PAUSED, ABORTING = "planned", "running", "paused", "aborting"
DONE, ABORTED = "done", "aborted"
WAITING, IN_HAND, FAILED, SKIPPED = "waiting", "running", "failed", "skipped"
LOOK_AGAIN = dt.timedelta(seconds=30)  # a machine that ends a step says so itself; this is for what is down elsewhere
SELDOM = dt.timedelta(minutes=1)
AT_ONCE = 100  # machines that begin in one transaction; the next look begins more
# Why it pauses by itself, and what a person does about it.
PAUSE_POINT, TOO_MANY, TOO_LATE, EDITED = "pause_point", "too_many_failures", "deadline", "edited"


def advance(session: Session, rollout: Rollout, *, now: dt.datetime, typical: dt.timedelta | None) -> None:
    """One look. `typical`: how long a machine takes, for windows."""
    rollout.due_at = now + LOOK_AGAIN
    if rollout.state == ABORTING:
        _abort_on(session, rollout, now=now)
    elif rollout.state == PAUSED:
        rollout.due_at = now + SELDOM
    elif observing.present(session):
        rollout.says, rollout.due_at = "The appliance only observes, until somebody runs `pxeapp resume`.", now + SELDOM
    else:
        _go_on(session, rollout, now=now, typical=typical)


def pause(session: Session, rollout: Rollout, *, code: str, reason: str, actor: str, now: dt.datetime) -> None:
    """Begin nothing more until somebody resumes it."""
    rollout.state, rollout.reason_code, rollout.reason, rollout.says = PAUSED, code, reason, reason
    rollout.version += 1
    course.event(session, rollout, "pause", reason, now=now, code=code, by=actor)
    audit.record(
        session, at=now, actor=actor, action="rollout.pause", subject=f"rollout {rollout.id}", code=code, reason=reason
    )


def finish(session: Session, rollout: Rollout, state: str, *, now: dt.datetime) -> None:
    """Every machine has its end."""
    ended = Counter(_states(session, rollout))
    told = ", ".join(f"{number} {each}" for each, number in sorted(ended.items()))
    rollout.state, rollout.says, rollout.finished_at = state, f"Ended: {told}.", now
    rollout.version += 1
    course.event(session, rollout, state, rollout.says, now=now, **ended)
    audit.record(
        session, at=now, actor="system:rollouts", action=f"rollout.{state}", subject=f"rollout {rollout.id}",
        ended=dict(ended),
    )  # fmt: skip


def _go_on(session: Session, rollout: Rollout, *, now: dt.datetime, typical: dt.timedelta | None) -> None:
    spec, plan = Spec.model_validate(rollout.spec), Plan.from_dict(rollout.plan)
    members = session.scalars(
        select(RolloutMember)
        .where(RolloutMember.rollout_id == rollout.id, RolloutMember.state.in_((WAITING, IN_HAND, FAILED)))
        .order_by(RolloutMember.wave, RolloutMember.position)
    ).all()
    if rollout.deadline is not None and now >= rollout.deadline:
        reason = f"Its deadline was {rollout.deadline:%Y-%m-%d %H:%M} UTC, and it is not through."
        pause(session, rollout, code=TOO_LATE, reason=reason, actor="system:rollouts", now=now)
        return
    if why := _too_many(rollout, plan, members):
        pause(session, rollout, code=TOO_MANY, reason=why, actor="system:rollouts", now=now)
        return
    if why := _edited(session, rollout, members):
        pause(session, rollout, code=EDITED, reason=why, actor="system:rollouts", now=now)
        return
    while True:
        here = [each for each in members if each.wave <= rollout.wave]
        if any(each.state == WAITING for each in here):
            _begin(session, rollout, spec, plan, here, now=now, typical=typical)
            return
        if at_work := [each for each in here if each.state == IN_HAND]:
            rollout.says = _at_work(plan, rollout, at_work)
            return
        if plan.wave(rollout.wave).pause and {"wave": rollout.wave} not in rollout.passed:
            reason = f"{_title(plan, rollout)} is through. It goes on when somebody says so."
            pause(session, rollout, code=PAUSE_POINT, reason=reason, actor="system:rollouts", now=now)
            return
        following = next((each.number for each in plan.waves if each.number > rollout.wave), None)
        if following is None:
            finish(session, rollout, DONE, now=now)
            return
        rollout.wave = following
        course.event(session, rollout, "wave", f"{_title(plan, rollout)} begins.", now=now, wave=following)


def _begin(
    session: Session, rollout: Rollout, spec: Spec, plan: Plan, here: Sequence[RolloutMember], *,
    now: dt.datetime, typical: dt.timedelta | None,
) -> None:  # fmt: skip
    at_work = [each for each in here if each.state == IN_HAND]
    if spec.action.kind == course.REINSTALL and (why := breaker.holds(session)):
        rollout.says, rollout.due_at = f"It waits: {why}.", now + SELDOM
        return
    found = budget.next_ones(
        plan, standing.read(session, rollout, plan, wave=rollout.wave), now=now, windows=spec.order.windows,
        typical=typical, at_most=AT_ONCE,
    )  # fmt: skip
    waiting = {each.machine_id: each for each in here if each.state == WAITING}
    for number in found.begin:
        member = waiting[number]
        try:
            course.enter(session, rollout, member, course.DRAIN, now=now)
        except Conflict as error:
            course.fail(session, rollout, member, code="not_fit", reason=str(error), hint=error.hint, now=now)
            rollout.due_at = now
    if len(found.begin) == AT_ONCE:
        rollout.due_at = now
    elif found.look_at is not None:
        rollout.due_at = min(now + SELDOM, max(found.look_at, now + LOOK_AGAIN))
    rollout.says = found.says or _at_work(plan, rollout, at_work)


def _too_many(rollout: Rollout, plan: Plan, members: Sequence[RolloutMember]) -> str:
    """Why no more may fail; empty while it may go on. Failures that somebody has gone on after do not count again."""
    accepted = {number for each in rollout.passed for number in each.get("failed", ())}
    failed = [each for each in members if each.state == FAILED and each.id not in accepted]
    if len(failed) > plan.max_failures:
        return f"{_names(failed)} failed, and {plan.max_failures} may in total."
    limit = plan.wave(rollout.wave).max_failures
    of_wave = [each for each in failed if each.wave == rollout.wave]
    if limit is not None and len(of_wave) > limit:
        return f"{_names(of_wave)} failed in {_title(plan, rollout)}, and {limit} may."
    return ""


def _edited(session: Session, rollout: Rollout, members: Sequence[RolloutMember]) -> str:
    """What machines which wait would be given otherwise than the first; empty: nothing, or none waits."""
    begun = changed.edition(rollout)
    if begun is None or not any(each.state == WAITING for each in members):
        return ""
    return changed.since(session, rollout, begun)


def _abort_on(session: Session, rollout: Rollout, *, now: dt.datetime) -> None:
    """What waits never begins; what is in hand reaches an end that is safe (see runner.py)."""
    session.execute(
        update(RolloutMember)
        .where(RolloutMember.rollout_id == rollout.id, RolloutMember.state == WAITING)
        .values(state=ABORTED, finished_at=now, says="Never begun: the rollout was aborted.")
    )
    at_work = [each for each in _states(session, rollout) if each == IN_HAND]
    if at_work:
        rollout.says = f"Aborting: {len(at_work)} machines are brought to a safe end."
    else:
        finish(session, rollout, ABORTED, now=now)


def _states(session: Session, rollout: Rollout) -> Sequence[str]:
    session.flush()
    return session.scalars(select(RolloutMember.state).where(RolloutMember.rollout_id == rollout.id)).all()


def _at_work(plan: Plan, rollout: Rollout, at_work: Sequence[RolloutMember]) -> str:
    steps = Counter(each.step for each in at_work)
    told = ", ".join(f"{number} in {step}" for step, number in steps.items())
    return f"{_title(plan, rollout)}: {told}." if told else f"{_title(plan, rollout)} begins."


def _title(plan: Plan, rollout: Rollout) -> str:
    return plan.wave(rollout.wave).title


def _names(members: Sequence[RolloutMember]) -> str:
    return few([each.machine for each in members], 5)
