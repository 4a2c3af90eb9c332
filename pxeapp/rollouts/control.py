"""What a person says to a rollout: start, pause, resume, abort, go on, skip, retry. Each in the caller's transaction.

Each says Conflict where it does not fit, writes an event and an audit row, and wakes the runner. None of them waits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.rollouts import changed, choosing, course, plan, service, waves
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.rollouts.spec import Spec

MOST_REASON = 500
OPEN = (waves.RUNNING, waves.PAUSED)


def start(session: Session, rollout: Rollout, *, actor: str, now: dt.datetime) -> None:
    """Begin. Refused while another rollout works on some of its machines."""
    observing.refuse(session)
    _must_be(rollout, (waves.PLANNED,), "start")
    numbers = list(session.scalars(select(RolloutMember.machine_id).where(RolloutMember.rollout_id == rollout.id)))
    if problems := choosing.shared(session, numbers, besides=rollout.id):
        raise plan.refused(problems)
    deadline = Spec.model_validate(rollout.spec).order.deadline
    rollout.passed = [*rollout.passed, changed.mark(session)]
    rollout.started_at, rollout.deadline = now, (now + deadline if deadline else None)
    _say(session, rollout, waves.RUNNING, "start", f"Started by {actor}.", actor=actor, now=now)


def pause(session: Session, rollout: Rollout, *, reason: str, actor: str, now: dt.datetime) -> None:
    """Begin nothing more; what is in hand is brought to its end."""
    _must_be(rollout, (waves.RUNNING,), "pause")
    said = f"Paused by {actor}" + (f": {reason[:MOST_REASON]}" if reason else ".")
    waves.pause(session, rollout, code="asked", reason=said, actor=actor, now=now)


def resume(session: Session, rollout: Rollout, *, actor: str, now: dt.datetime) -> None:
    """Go on, whatever it paused for: failures until now are accepted, edits are taken, limits hold anew."""
    _must_be(rollout, (waves.PAUSED,), "resume")
    if rollout.reason_code == waves.PAUSE_POINT:
        rollout.passed = [*rollout.passed, {"wave": rollout.wave}]
    failed = [each.id for each in _members(session, rollout, ("failed",))]
    if failed:
        rollout.passed = [*(each for each in rollout.passed if "failed" not in each), {"failed": failed}]
    if rollout.reason_code == waves.EDITED:
        kept = [each for each in rollout.passed if changed.EDITS not in each]
        rollout.passed = [*kept, changed.mark(session)]
    if rollout.deadline is not None and now >= rollout.deadline:
        rollout.deadline = None  # it is over, and whoever resumes has seen that
    said = f"Resumed by {actor}" + (f"; {len(failed)} failures are accepted." if failed else ".")
    _say(session, rollout, waves.RUNNING, "resume", said, actor=actor, now=now)


def go_on(session: Session, rollout: Rollout, *, wave: int | None, actor: str, now: dt.datetime) -> None:
    """Pass the pause point that it stands at, or that of a wave to come."""
    if rollout.state == waves.PAUSED and rollout.reason_code == waves.PAUSE_POINT and wave in (None, rollout.wave):
        resume(session, rollout, actor=actor, now=now)
        return
    _must_be(rollout, OPEN, "continue")
    known = [each["number"] for each in rollout.plan["waves"] if each["pause"] and each["number"] >= rollout.wave]
    if wave not in known:
        fix = f"Pause points to come are after the waves {', '.join(map(str, known)) or 'none'}."
        raise Invalid("It does not pause there.", problems=[FieldProblem("wave", "No pause point to come.", fix)])
    if {"wave": wave} not in rollout.passed:
        rollout.passed = [*rollout.passed, {"wave": wave}]
        said = f"{actor} said that it goes on after wave {wave}."
        _say(session, rollout, rollout.state, "continue", said, actor=actor, now=now)


def abort(session: Session, rollout: Rollout, *, reason: str, actor: str, now: dt.datetime) -> None:
    """End it: nothing begins any more, drained machines are put back, those being changed are brought to their end."""
    _must_be(rollout, (waves.PLANNED, *OPEN), "abort")
    said = f"Aborted by {actor}" + (f": {reason[:MOST_REASON]}" if reason else ".")
    rollout.reason_code, rollout.reason = "asked", said
    _say(session, rollout, waves.ABORTING, "abort", said, actor=actor, now=now)
    for member in _members(session, rollout, (waves.IN_HAND,)):
        member.due_at = now
    waves.advance(session, rollout, now=now, typical=None)


def skip(
    session: Session, rollout: Rollout, *, machine: str | None = None, wave: int | None = None, actor: str,
    now: dt.datetime,
) -> Sequence[RolloutMember]:  # fmt: skip
    """Leave out one machine, or all of a wave, that wait or have failed. A failed one stays as it is."""
    _must_be(rollout, (waves.PLANNED, *OPEN), "skip")
    found = _meant(session, rollout, machine, wave, ("waiting", "failed"), "skip")
    for member in found:
        member.state, member.finished_at, member.says = waves.SKIPPED, now, f"Skipped by {actor}."
    _tell(session, rollout, found, "skip", actor=actor, now=now)
    return found


def retry(
    session: Session, rollout: Rollout, *, machine: str | None = None, wave: int | None = None, step: str = "",
    actor: str, now: dt.datetime,
) -> Sequence[RolloutMember]:  # fmt: skip
    """Go on with one machine, or all of a wave, that failed: at the step that failed, or at `step`.

    `step` undrain puts a machine back into service without trying again what failed. One that serves again by itself
    begins anew, in its turn.
    """
    observing.refuse(session)
    _must_be(rollout, OPEN, "retry")
    steps = course.steps_of(Spec.model_validate(rollout.spec))
    if step and step not in steps:
        fix = f"Its steps are {', '.join(steps)}."
        raise Invalid("It has no such step.", problems=[FieldProblem("step", f"There is no {step[:40]!r}.", fix)])
    found = _meant(session, rollout, machine, wave, ("failed",), "retry")
    for member in found:
        row = session.get(Machine, member.machine_id)
        serves = row is not None and row.state == State.ACTIVE
        at = step or member.step or course.DRAIN
        if serves and at != course.SOAK:
            member.state, member.step, member.finished_at = waves.WAITING, "", None
            member.wave = max(member.wave, rollout.wave)
            member.says, member.due_at = "It begins anew, in its turn.", now
            continue
        course.enter(session, rollout, member, at, now=now)
    _tell(session, rollout, found, "retry", actor=actor, now=now)
    return found


def _must_be(rollout: Rollout, states: Sequence[str], verb: str) -> None:
    if rollout.state not in states:
        raise Conflict(
            f"Rollout {rollout.id} is {rollout.state}; one can {verb} it while it is {' or '.join(states)}.",
            hint="See what it says: pxeapp rollout show.",
        )


def _say(session: Session, rollout: Rollout, state: str, kind: str, said: str, *, actor: str, now: dt.datetime) -> None:
    before, rollout.state, rollout.says, rollout.due_at = rollout.state, state, said, now
    if state == waves.RUNNING:
        rollout.reason = rollout.reason_code = ""
    rollout.version += 1
    course.event(session, rollout, kind, said, now=now, by=actor)
    audit.record(
        session, at=now, actor=actor, action=f"rollout.{kind}", subject=f"rollout {rollout.id}", before=before,
        after=state,
    )  # fmt: skip


def _members(session: Session, rollout: Rollout, states: Sequence[str]) -> Sequence[RolloutMember]:
    found = select(RolloutMember).where(RolloutMember.rollout_id == rollout.id, RolloutMember.state.in_(states))
    return session.scalars(found.order_by(RolloutMember.wave, RolloutMember.position)).all()


def _meant(
    session: Session, rollout: Rollout, machine: str | None, wave: int | None, states: Sequence[str], verb: str
) -> Sequence[RolloutMember]:
    fit = " or ".join(states)
    if machine is not None:
        member = service.member(session, rollout, machine)
        if member.state not in states:
            raise Conflict(f"{member.machine} is {member.state}; one can {verb} those that are {fit}.")
        return [member]
    found = [each for each in _members(session, rollout, states) if each.wave == wave]
    if not found:
        raise Conflict(f"No machine of wave {wave} is {fit}.")
    return found


def _tell(
    session: Session, rollout: Rollout, found: Sequence[RolloutMember], kind: str, *, actor: str, now: dt.datetime
) -> None:
    rollout.due_at = now
    rollout.version += 1
    for member in found:
        course.event(
            session, rollout, kind, f"{member.machine}: {kind} by {actor}.", now=now, machine=member.machine, by=actor
        )
        audit.record(
            session, at=now, actor=actor, action=f"rollout.machine.{kind}", subject=member.machine, rollout=rollout.id
        )
