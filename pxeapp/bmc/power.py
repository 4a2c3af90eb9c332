"""Power actions: the order, the table of phases, and the decision of what comes next.

IPMI has no idempotency key, so power is never repeated blindly. An action walks through stages; a
cycle is *off, observed off, (boot device set, read back,) on, observed on*, never `reset` or `cycle`:

    due --seen elsewhere--> intended --sent once--> sent --seen there--> next stage's due
      '------------------- seen there already: nothing is sent ------------^

The intent is committed before the command leaves. A recorded send that is not confirmed in time ends
the action as unconfirmed. After a crash between intent and send nobody knows whether the command left:
it is observed; if the machine has then been seen unmoved, without a break, for the settling time, that
fresh observation justifies one new intent, and no more. Nothing acts on `unknown`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.bmc.errors import BmcError, BootDeviceIgnored, PowerFlapped, PowerUnconfirmed, PowerUnknown, TooLate
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.ports import BootDevice, PowerState
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.machines import timeline
from pxeapp.machines.models import Machine

Goal = Literal["on", "off", "cycle", "netboot"]
Stage = Literal["off", "boot", "on"]

STAGES: dict[str, tuple[Stage, ...]] = {
    "on": ("on",),
    "off": ("off",),
    "cycle": ("off", "on"),
    "netboot": ("off", "boot", "on"),
}
BOOT_TRIES = 3
DONE, FAILED, UNCONFIRMED, CANCELLED = "done", "failed", "unconfirmed", "cancelled"


@dataclass(frozen=True, slots=True)
class PowerTimings:
    """How patient we are; tests pass shorter ones."""

    poll: dt.timedelta = dt.timedelta(seconds=1)  # between two observations
    gap: dt.timedelta = dt.timedelta(seconds=2)  # between two power commands to one BMC; some forget the second
    fresh: dt.timedelta = dt.timedelta(seconds=5)  # an older observation is no ground for a command
    settle: dt.timedelta = dt.timedelta(seconds=10)  # how long a command that left before a crash may take to show
    confirm: dt.timedelta = dt.timedelta(seconds=60)  # after a recorded send
    unreachable: dt.timedelta = dt.timedelta(seconds=60)  # no answer at all, and nothing sent yet: say so
    deadline: dt.timedelta = dt.timedelta(minutes=5)  # of the whole action
    lease: dt.timedelta = dt.timedelta(seconds=20)  # renewed every few seconds; after a crash others wait this long
    margin: dt.timedelta = dt.timedelta(seconds=5)  # with less lease than this left, no command leaves


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a BMC at one moment: its power, its boot device if asked, or why it did not answer.

    `steady_since`: since when this same observer has seen this same power, without a break; None: only now.
    """

    at: dt.datetime
    power: PowerState
    boot_device: BootDevice | None = None
    trouble: BmcError | None = None
    steady_since: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the worker does next with an action."""

    do: Literal["observe", "intend", "advance", "end"]
    phase: str = ""
    outcome: str = ""
    error: BmcError | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an action stands: the row's fields that the decision depends on."""

    goal: str
    phase: str
    phase_since: dt.datetime
    deadline: dt.datetime
    command_at: dt.datetime | None = None
    renewed: int = 0
    boot_device: str | None = None
    timings: PowerTimings = field(default_factory=PowerTimings)


def first_phase(goal: str) -> str:
    """Where an action of this goal begins."""
    return f"{STAGES[goal][0]}_due"


def next_phase(goal: str, stage: Stage) -> str:
    """The phase after a stage is observed, or `done`."""
    stages = STAGES[goal]
    following = stages[stages.index(stage) + 1 :]
    return f"{following[0]}_due" if following else DONE


def decide(standing: Standing, seen: Observation) -> Decision:
    """Pure: what follows from where the action stands and what was just observed."""
    decision = _decide(standing, seen)
    over = seen.at >= standing.deadline
    if over and decision.do != "end" and decision.phase != DONE:
        return _too_late(standing, seen)
    return decision


def _decide(standing: Standing, seen: Observation) -> Decision:
    stage, _, part = standing.phase.partition("_")
    if seen.trouble is not None:
        waited = seen.at - standing.phase_since
        given_up = part == "due" and waited >= standing.timings.unreachable
        if given_up or not seen.trouble.retryable:
            # A send is on record or may have left: that the BMC is ill now does not make it undone.
            outcome = FAILED if part == "due" else UNCONFIRMED
            return Decision("end", outcome=outcome, error=seen.trouble)
        return Decision("observe")
    if seen.power == "unknown":
        return Decision("observe", note="its power is unknown; nothing acts on that")
    if stage == "boot":
        return _decide_boot(standing, seen, part)
    return _decide_power(standing, seen, "off" if stage == "off" else "on", part)


def _decide_power(standing: Standing, seen: Observation, stage: Literal["off", "on"], part: str) -> Decision:
    timings = standing.timings
    if seen.power == stage:
        note = f"it was {stage} already; nothing was sent" if part == "due" else f"observed {stage}"
        return Decision("advance", phase=next_phase(standing.goal, stage), note=note)
    waited = seen.at - standing.phase_since
    if part == "sent":
        return _unconfirmed(stage, seen, waited) if waited >= timings.confirm else Decision("observe")
    if part == "intended":
        # A worker died between intent and send. What left may need its time to show: only a machine that we have
        # since seen unmoved for the settling time was evidently not told.
        if seen.at - max(seen.steady_since or seen.at, standing.phase_since) < timings.settle:
            return Decision("observe")
        if standing.renewed:
            return _unconfirmed(stage, seen, waited)
        return Decision("intend", phase=f"{stage}_intended", note="a crash left an intent; it had no effect")
    if standing.command_at is not None and seen.at - standing.command_at < timings.gap:
        return Decision("observe")
    return Decision("intend", phase=f"{stage}_intended", note=f"observed {seen.power}")


def _decide_boot(standing: Standing, seen: Observation, part: str) -> Decision:
    """Setting the boot device twice does no harm: an intent without an answer is read back and, if need be, renewed."""
    waited = seen.at - standing.phase_since
    if seen.power != "off":
        if waited >= standing.timings.confirm:
            return Decision("end", outcome=UNCONFIRMED, error=PowerFlapped())
        return Decision("observe", note="waiting to see it off before the boot device is set")
    done = next_phase(standing.goal, "boot")
    if part != "due" and seen.boot_device == standing.boot_device:
        return Decision("advance", phase=done, note=f"reads back {seen.boot_device}")
    if part == "sent":
        if seen.boot_device is None:
            return Decision(
                "advance", phase=done, note="this BMC cannot read it back; the netboot itself will prove it"
            )
        if waited < standing.timings.settle:
            return Decision("observe")
    if part != "due" and standing.renewed >= BOOT_TRIES - 1:
        return Decision("end", outcome=FAILED, error=BootDeviceIgnored(standing.boot_device or "", seen.boot_device))
    return Decision("intend", phase="boot_intended")


def _unconfirmed(stage: str, seen: Observation, waited: dt.timedelta) -> Decision:
    return Decision("end", outcome=UNCONFIRMED, error=PowerUnconfirmed(stage, seen.power, waited.total_seconds()))


def _too_late(standing: Standing, seen: Observation) -> Decision:
    stage, _, part = standing.phase.partition("_")
    outcome = FAILED if part == "due" else UNCONFIRMED
    if seen.trouble is not None:
        return Decision("end", outcome=outcome, error=seen.trouble)
    if seen.power == "unknown":
        return Decision("end", outcome=outcome, error=PowerUnknown())
    there = seen.power == stage or (stage == "boot" and seen.boot_device == standing.boot_device)
    if part == "due" or there:
        return Decision("end", outcome=FAILED, error=TooLate())
    if stage == "boot":
        return Decision("end", outcome=outcome, error=BootDeviceIgnored(standing.boot_device or "", seen.boot_device))
    return _unconfirmed(stage, seen, seen.at - standing.phase_since)


# --- the rows -----------------------------------------------------------------------------------------------------


def request(
    session: Session,
    *,
    machine_id: int,
    goal: Goal,
    requested_by: str,
    now: dt.datetime,
    boot_device: BootDevice | None = None,
    deployment_id: int | None = None,
    start_at: dt.datetime | None = None,
    timings: PowerTimings | None = None,
) -> PowerAction:
    """Order an action; the BMC worker carries it out, not before `start_at`.

    Raises Conflict while another one runs on this machine, and while the appliance only observes.
    """
    if goal not in STAGES:
        fix = f"Use one of {', '.join(STAGES)}."
        raise Invalid(f"{goal!r} is not a power action.", problems=[FieldProblem("action", f"{goal!r}", fix)], hint=fix)
    observing.refuse(session)
    machine = session.scalar(select(Machine).where(Machine.id == machine_id).with_for_update())
    if machine is None or machine.bmc is None:
        raise Conflict("This machine has no BMC in our records.", hint="Add one, or switch it by hand.")
    running = session.scalar(
        select(PowerAction).where(PowerAction.machine_id == machine_id, PowerAction.finished_at.is_(None))
    )
    if running is not None:
        raise Conflict(
            f"{machine.name} is already being switched ({running.goal}, {running.phase}).",
            hint="Wait until that has ended; one BMC gets one command at a time.",
        )
    before = latest(session, machine_id)
    patience = timings or PowerTimings()
    start = start_at or now
    action = PowerAction(
        machine_id=machine_id,
        deployment_id=deployment_id,
        goal=goal,
        boot_device=boot_device or ("network" if goal == "netboot" else None),
        phase=first_phase(goal),
        requested_by=requested_by,
        requested_at=now,
        phase_since=start,
        due_at=start,
        deadline=start + patience.deadline,
        # A command in the future was sent before the clock was set back: it may have been just now.
        command_at=min(before.command_at, now) if before and before.command_at else None,
        log=[],
    )
    session.add(action)
    session.flush()
    audit.record(
        session, at=now, actor=requested_by, action=f"power.{goal}", subject=machine.name, power_action=action.id
    )
    return action


def cancel(session: Session, action_id: int, *, now: dt.datetime) -> None:
    """Stop an action before its next command; what was sent stays sent. Idempotent."""
    row = session.execute(
        update(PowerAction)
        .where(PowerAction.id == action_id, PowerAction.finished_at.is_(None))
        .values(
            outcome=CANCELLED,
            error_code=CANCELLED,
            error="The power action was cancelled.",
            finished_at=now,
            lease_epoch=PowerAction.lease_epoch + 1,  # fences the worker that has it in hand
            lease_until=None,
        )
        .returning(PowerAction.machine_id, PowerAction.deployment_id, PowerAction.goal, PowerAction.phase)
    ).one_or_none()
    if row is not None:
        timeline.note(
            session,
            machine_id=row.machine_id,
            deployment_id=row.deployment_id,
            at=now,
            source="bmc",
            kind="power",
            message=f"The power action ({row.goal}) was cancelled; nothing more is sent.",
            power_action=action_id,
            phase=row.phase,
            outcome=CANCELLED,
        )


def latest(session: Session, machine_id: int) -> PowerAction | None:
    """The machine's last action, running or not."""
    return session.scalar(
        select(PowerAction).where(PowerAction.machine_id == machine_id).order_by(PowerAction.id.desc()).limit(1)
    )


def past_off(action: PowerAction) -> bool:
    """Whether it was observed off: whatever it sends from then on belongs to the boot that we ordered."""
    return not action.phase.startswith("off_")


def standing_of(action: PowerAction, timings: PowerTimings) -> Standing:
    """The row as the decision sees it."""
    return Standing(
        goal=action.goal,
        phase=action.phase,
        phase_since=action.phase_since,
        deadline=action.deadline,
        command_at=action.command_at,
        renewed=action.renewed,
        boot_device=action.boot_device,
        timings=timings,
    )


def enter(book: timeline.Book, action: PowerAction, phase: str, *, now: dt.datetime, note: str) -> None:
    """Move the row to a phase, keep the note, and tell the timeline. The caller has checked its lease."""
    if phase.endswith("_intended") and not action.phase.endswith("_due"):
        action.renewed += 1
    elif phase.endswith("_due"):
        action.renewed = 0  # counted per stage: each command has its own one second chance
    action.phase = phase
    action.phase_since = now
    action.due_at = now
    if phase in ("off_intended", "on_intended", "off_sent", "on_sent"):
        action.command_at = now  # the gap to the next one begins when this one has left
    entry: dict[str, Any] = {"at": now.isoformat(), "phase": phase, "note": note}
    action.log = [*action.log, entry]
    action.error_code = action.error = ""  # it moves on: what was wrong before is over
    timeline.note(
        book,
        machine_id=action.machine_id,
        deployment_id=action.deployment_id,
        at=now,
        source="bmc",
        kind="power",
        message=SENTENCES.get(phase, phase) + (f" ({note})" if note else ""),
        power_action=action.id,
        phase=phase,
    )


def end(
    book: timeline.Book,
    action: PowerAction,
    *,
    outcome: str,
    now: dt.datetime,
    error: BmcError | None = None,
    note: str = "",
) -> None:
    """Close the row with its outcome; the caller has checked its lease."""
    action.outcome = outcome
    action.finished_at = now
    action.lease_until = None
    if outcome == DONE:
        action.phase, action.error_code, action.error = DONE, "", ""
    if error is not None:
        action.error_code = error.code
        action.error = str(error)
    entry: dict[str, Any] = {"at": now.isoformat(), "phase": outcome, "note": note or action.error}
    action.log = [*action.log, entry]
    timeline.note(
        book,
        machine_id=action.machine_id,
        deployment_id=action.deployment_id,
        at=now,
        source="bmc",
        kind="power",
        message=str(error) if error else f"The power action ended: {action.goal} {outcome}{note and f' ({note})'}.",
        power_action=action.id,
        outcome=outcome,
    )


def observed(session: Session, machine_id: int, power: PowerState, *, now: dt.datetime) -> None:
    """Keep what was seen of a machine's power; `unknown` is kept too. Not a change of the machine's own record."""
    session.execute(
        update(Machine)
        .where(Machine.id == machine_id)
        .values(power=power, power_seen_at=now)
        .execution_options(synchronize_session=False)
    )


SENTENCES: dict[str, str] = {
    "off_due": "It is to be switched off",
    "off_intended": "The command to go off is about to be sent",
    "off_sent": "The command to go off was sent, once",
    "boot_due": "Observed off; the boot device comes next",
    "boot_intended": "The boot device is about to be set",
    "boot_sent": "The boot device was set",
    "on_due": "It is to be switched on",
    "on_intended": "The command to go on is about to be sent",
    "on_sent": "The command to go on was sent, once",
}
