"""The course of the work on one machine: which steps, how long each may take, and where the machine's lifecycle is.

    drain > patch | run | reinstall > reboot > verify > undrain > soak

Every change of a machine's state that a rollout makes is made here, in the caller's transaction, with its line in the
machine's timeline and its audit row.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.errors import Conflict
from pxeapp.machines import service, timeline
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember, RolloutStep
from pxeapp.rollouts.spec import Choice, Spec

DRAIN, PATCH, RUN, REINSTALL, REBOOT, VERIFY, UNDRAIN, SOAK = (
    "drain", "patch", "run", "reinstall", "reboot", "verify", "undrain", "soak",
)  # fmt: skip
STEPS: dict[str, tuple[str, ...]] = {
    "patch": (DRAIN, PATCH, REBOOT, VERIFY, UNDRAIN, SOAK),
    "run": (DRAIN, RUN, REBOOT, VERIFY, UNDRAIN, SOAK),
    "reboot": (DRAIN, REBOOT, VERIFY, UNDRAIN, SOAK),
    "reinstall": (DRAIN, REINSTALL, VERIFY, UNDRAIN, SOAK),
}
SERVES = (SOAK,)  # steps in which the machine is back in service
GONE = "machine_gone"
A_WHILE = dt.timedelta(minutes=10)  # for what has no time of its own in the spec
A_BOOT = dt.timedelta(minutes=45)  # a server with much memory tests it for half an hour


def steps_of(spec: Spec) -> tuple[str, ...]:
    """The steps of each machine, in order. A wave that is not watched has no soak."""
    steps = STEPS[spec.action.kind]
    return steps if spec.order.soak else steps[:-1]


def after(spec: Spec, step: str) -> str | None:
    """The step that follows; None after the last."""
    steps = steps_of(spec)
    place = steps.index(step) + 1
    return steps[place] if place < len(steps) else None


def allowance(spec: Spec, step: str) -> dt.timedelta:
    """How long a step may take before it has failed."""
    if step in (DRAIN, UNDRAIN, PATCH, RUN, REINSTALL):
        said: Choice = spec.drain if step in (DRAIN, UNDRAIN) else spec.action
        found: dt.timedelta = getattr(said.chosen, "timeout", A_WHILE)
        return found
    if step == REBOOT:
        return A_BOOT
    if step == VERIFY:
        return max(spec.verify.timeout, spec.verify.settle + A_WHILE)
    return spec.order.soak + spec.verify.timeout


def enter(session: Session, rollout: Rollout, member: RolloutMember, step: str, *, now: dt.datetime) -> None:
    """Begin a step, or one try more of it, and claim the machine for it. Raises Conflict for one that cannot.

    With the first step it goes out of service, and it is down until a step begins in which it serves.
    """
    _claim_for(session, _machine(session, member), step, now=now)
    tries = 1 + (session.scalar(select(func.max(RolloutStep.tries)).where(*_tries_of(member, step))) or 0)
    session.add(RolloutStep(member_id=member.id, step=step, tries=tries, started_at=now))
    member.state, member.step, member.finished_at = "running", step, None
    member.says = member.reason = member.reason_code = member.hint = ""
    member.step_deadline = now + allowance(Spec.model_validate(rollout.spec), step)
    member.due_at = now
    member.started_at = member.started_at or now
    kind = "serves" if step in SERVES else "begin" if step == DRAIN and tries == 1 else "step"
    message = f"Rollout {rollout.id} ({rollout.name}): {step} begins" + (f", try {tries}." if tries > 1 else ".")
    _note(session, rollout, member, kind, message, now=now, step=step, tries=tries)


def settle(session: Session, rollout: Rollout, member: RolloutMember, state: str, *, now: dt.datetime) -> None:
    """The machine is through (`done` or `aborted`) and serves."""
    machine = _machine(session, member)
    if machine.state == State.SERVICING:
        service.claim(session, machine, "done", now=now)
    machine.fault = ""
    member.state, member.finished_at, member.step_deadline = state, now, None
    took = int((now - member.started_at).total_seconds()) if member.started_at else 0
    member.says = f"{state.capitalize()} after {took} s."
    _note(session, rollout, member, state, f"Rollout {rollout.id} ({rollout.name}): {state} after {took} s.", now=now)


def fail(
    session: Session, rollout: Rollout, member: RolloutMember, *, code: str, reason: str, hint: str, now: dt.datetime
) -> None:
    """It stays as it is, for a person to look at; it counts as down while its machine does not serve."""
    member.state, member.finished_at, member.step_deadline = "failed", now, None
    member.reason_code, member.reason, member.hint, member.says = code, reason, hint, reason
    machine = session.get(Machine, member.machine_id)
    if machine is not None and machine.state in (State.DRAINING, State.SERVICING):
        service.claim(session, machine, "fail", now=now)
        machine.fault = f"Rollout {rollout.id}, {member.step}: {reason}"
    step = member.step or DRAIN  # it may not even have begun
    message = f"Rollout {rollout.id} ({rollout.name}): {step} failed. {reason}"
    _note(session, rollout, member, "fail", message, now=now, step=step, code=code)


def event(session: Session, rollout: Rollout, kind: str, message: str, *, now: dt.datetime, **evidence: Any) -> None:
    """A line of the rollout's own course."""
    session.add(RolloutEvent(rollout_id=rollout.id, at=now, kind=kind, message=message, evidence=evidence))


def _machine(session: Session, member: RolloutMember) -> Machine:
    machine = session.get(Machine, member.machine_id, with_for_update={"of": Machine})
    if machine is None:
        raise Conflict(f"{member.machine} is not there any more.")
    return machine


def _claim_for(session: Session, machine: Machine, step: str, *, now: dt.datetime) -> None:
    """Where the machine stands in its lifecycle while a step runs; what it needs to get there is in the table."""
    if step == DRAIN and (machine.locked or machine.maintenance):
        why = "locked" if machine.locked else "in maintenance"
        raise Conflict(f"{machine.name} is {why}.", hint="End that and retry it, or skip it.")
    state = State(machine.state)
    for verb in ENTERING.get((step, state), ()):
        service.claim(session, machine, verb, now=now)
    if machine.state not in HELD[step]:
        raise Conflict(
            f"{machine.name} is {machine.state}; {step} needs it {' or '.join(HELD[step])}.",
            hint="Bring it there, or skip it.",
        )
    machine.fault = ""


def _tries_of(member: RolloutMember, step: str) -> tuple[ColumnElement[bool], ...]:
    return RolloutStep.member_id == member.id, RolloutStep.step == step


def running_try(session: Session, member: RolloutMember) -> RolloutStep | None:
    """The row of the step that is being worked on."""
    found = select(RolloutStep).where(*_tries_of(member, member.step), RolloutStep.outcome.is_(None))
    return session.scalar(found.order_by(RolloutStep.tries.desc()).limit(1))


def _note(
    session: Session, rollout: Rollout, member: RolloutMember, kind: str, message: str, *, now: dt.datetime, **more: Any
) -> None:
    session.add(
        RolloutEvent(
            rollout_id=rollout.id, member_id=member.id, at=now, kind=kind, message=message,
            evidence={"machine": member.machine, "wave": member.wave, **more},
        )
    )  # fmt: skip
    if session.get(Machine, member.machine_id) is not None:
        timeline.note(
            session, machine_id=member.machine_id, at=now, source="rollout", kind=kind, message=message,
            rollout=rollout.id, **more,
        )  # fmt: skip
    audit.record(
        session, at=now, actor="system:rollouts", action=f"rollout.machine.{kind}", subject=member.machine,
        rollout=rollout.id, **more,
    )  # fmt: skip


# In which states of its lifecycle a machine is worked on, and what is claimed to get there from which. Whoever has
# brought a machine back into service by hand may have it gone on with from there.
IN_HAND = (PATCH, RUN, REINSTALL, REBOOT, VERIFY, UNDRAIN)
HELD: dict[str, tuple[State, ...]] = {
    DRAIN: (State.DRAINING,),
    **dict.fromkeys(IN_HAND, (State.SERVICING,)),
    REINSTALL: (State.SERVICING, State.DEPLOY_FAILED),
    SOAK: (State.ACTIVE,),
}
ENTERING: dict[tuple[str, State], tuple[str, ...]] = {
    (DRAIN, State.ACTIVE): ("drain",),
    (DRAIN, State.DRAIN_FAILED): ("drain",),
    (DRAIN, State.SERVICE_FAILED): ("abort", "drain"),
    **{(step, State.DRAINING): ("done",) for step in IN_HAND},
    **{(step, State.DRAIN_FAILED): ("drain", "done") for step in IN_HAND},
    **{(step, State.SERVICE_FAILED): ("service",) for step in IN_HAND},
    **{(step, State.ACTIVE): ("service",) for step in IN_HAND},  # a reinstallation ends with it active
    (SOAK, State.SERVICING): ("done",),
}
