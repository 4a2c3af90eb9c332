"""`explain`: what was last seen of a machine, what should have come next, how long it has waited, and why."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.bmc.models import PowerAction
from pxeapp.machines.models import Event, Machine, Sighting
from pxeapp.provisioning import activity, causes, lifecycle, steps
from pxeapp.provisioning.activity import Activity
from pxeapp.provisioning.causes import Cause
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step

LOOP_AFTER = 3  # loader requests after one installation that are no longer its ordinary reboot
LOOP_PACE = dt.timedelta(minutes=20)  # a server whose disk does not boot is back at the network sooner than this
LOOP_FRESH = dt.timedelta(hours=1)  # of one that has not asked for so long the loop is over

EXPECTED: dict[Step, str] = {
    Step.REQUESTED: "the worker arms it and orders the power cycle",
    Step.ARMED: "its BMC confirms off, boot device network, on",
    Step.POWER_CYCLED: "a DHCP request from its boot MAC",
    Step.DHCP_SEEN: "it fetches a boot loader by TFTP or HTTP",
    Step.NBP_FETCHED: "it fetches kernel and initrd",
    Step.KERNEL_FETCHED: "the installer fetches its answer file",
    Step.ANSWER_FETCHED: "the installer reports that it started",
    Step.INSTALLING: "the installer reports that it finished",
    Step.INSTALLED: "the installed system calls in from its own disk",
    Step.FIRST_BOOT: "the reconciler verifies it",
    Step.VERIFIED: "nothing; it is active",
}
SETTING_UP = "the installed system reports that its role is set up"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to *why*, with the likeliest cause first."""

    machine: str
    state: str
    summary: str
    step: str | None
    last_evidence: str
    last_evidence_at: str | None
    expected_next: str
    waited_s: int
    code: str
    causes: tuple[Cause, ...]
    activity: Activity | None = None  # of a running attempt
    deadline: str | None = None  # of what is expected next

    def to_dict(self) -> dict[str, Any]:
        """For the wire: causes as `{"cause", "try"}`."""
        found = asdict(self)
        found["causes"] = [{"cause": cause.cause, "try": cause.attempt} for cause in self.causes]
        found["activity"] = self.activity.to_dict() if self.activity is not None else None
        return found


def explain(session: Session, machine: Machine, now: dt.datetime) -> Explanation:
    """Explain a machine from its rows alone; asks no hardware and changes nothing."""
    deployment = lifecycle.latest(session, machine.id)
    if deployment is None:
        return _never_deployed(machine)
    step = Step(deployment.step)
    last = deployment.steps[-1] if deployment.steps else None
    until = deployment.finished_at or now
    waited = int((until - deployment.step_since).total_seconds())
    code = _code(session, machine, deployment, step, now)
    return Explanation(
        machine=machine.name,
        state=machine.state,
        summary=_summary(machine, deployment, step, waited),
        step=str(step),
        last_evidence=last["message"] if last else "nothing yet",
        last_evidence_at=last["at"] if last else None,
        expected_next=expected(deployment),
        waited_s=waited,
        code=code,
        causes=(*_observed(session, machine, deployment, code), *causes.of(code)) if code else (),
        activity=activity.of(deployment),
        deadline=deployment.step_deadline.isoformat() if deployment.outcome is None else None,
    )


def expected(deployment: Deployment) -> str:
    """What should come next in an attempt."""
    if deployment.outcome == lifecycle.SUCCEEDED:
        return EXPECTED[Step.VERIFIED]
    return SETTING_UP if activity.sets_up(deployment) else EXPECTED[Step(deployment.step)]


def word(deployment: Deployment) -> str:
    """What a running attempt said last, or else what it waits for: one line of a list."""
    return activity.last_word(deployment) or expected(deployment)


def _never_deployed(machine: Machine) -> Explanation:
    return Explanation(
        machine=machine.name,
        state=machine.state,
        summary=f"{machine.name} was never deployed; it is {machine.state} and boots from its own disk.",
        step=None,
        last_evidence="nothing yet",
        last_evidence_at=None,
        expected_next="somebody deploys it",
        waited_s=0,
        code="",
        causes=(),
    )


def _code(session: Session, machine: Machine, deployment: Deployment, step: Step, now: dt.datetime) -> str:
    """The code whose causes apply: the failure's own, or what a stall at this step would be called."""
    if deployment.outcome == lifecycle.SUCCEEDED:
        return "loader_loop" if _loops_while_active(session, machine, now) else ""
    if deployment.outcome is not None:
        return deployment.reason_code
    if step == Step.REQUESTED and deployment.progress:
        return "no_turn"
    if step == Step.ARMED and deployment.power_action_id is not None:
        action = session.get(PowerAction, deployment.power_action_id)
        if action is not None and action.error_code:
            return f"bmc_{action.error_code}"
    if activity.sets_up(deployment):
        return "setup_slow"
    if step == Step.INSTALLED and _loader_requests(session, machine) >= LOOP_AFTER:
        return "loader_loop"
    return steps.WAITS[step].stall_code if step in steps.WAITS else ""


def _summary(machine: Machine, deployment: Deployment, step: Step, waited: int) -> str:
    if deployment.outcome == lifecycle.SUCCEEDED:
        return f"{machine.name} is {machine.state}: attempt {deployment.attempt} succeeded."
    if deployment.outcome is not None:
        return f"Attempt {deployment.attempt} of {machine.name} {deployment.outcome}: {deployment.reason}"
    if step == Step.REQUESTED and deployment.progress:
        return f"{machine.name} was asked for {waited} s ago. {deployment.progress}"
    if activity.sets_up(deployment):
        return (
            f"{machine.name} runs from its own disk and has been setting up its role {deployment.role} for {waited} s: "
            f"{deployment.progress}"
        )
    return f"{machine.name} reached {step} {waited} s ago and waits: {EXPECTED[step]}."


def _loader_requests(session: Session, machine: Machine) -> int:
    return session.scalar(select(Sighting.loader_requests).where(Sighting.mac == machine.mac)) or 0


def _loops_while_active(session: Session, machine: Machine, now: dt.datetime) -> bool:
    """Whether an active machine asks for a loader in quick succession.

    With the network first in its boot order it asks at every reboot, some day for the hundredth time: that is no loop.
    """
    seen = session.get(Sighting, machine.mac)
    if seen is None or seen.loader_requests < LOOP_AFTER or now - seen.last_seen > LOOP_FRESH:
        return False
    asked = select(Event).where(Event.machine_id == machine.id, Event.kind == "loader_request")
    said = session.scalars(asked.order_by(Event.id.desc()).limit(2)).all()
    if len(said) < 2:
        return False
    later, earlier = said
    times = max(1, int(later.evidence.get("count", 0)) - int(earlier.evidence.get("count", 0)))
    return later.at - earlier.at <= LOOP_PACE * times


def _observed(session: Session, machine: Machine, deployment: Deployment, code: str) -> tuple[Cause, ...]:
    """Causes that we do not guess but saw; they come before the table's."""
    found: list[Cause] = []
    if code == "no_dhcp":
        strangers = session.scalars(
            select(Sighting)
            .where(Sighting.machine_id.is_(None), Sighting.last_seen >= deployment.requested_at)
            .order_by(Sighting.last_seen.desc())
            .limit(3)
        ).all()
        if strangers:
            macs = ", ".join(stranger.mac for stranger in strangers)
            found.append(
                Cause(
                    f"While we waited for {machine.mac}, unknown machines asked for an address: {macs}.",
                    "If one of them is this machine, correct its boot MAC and deploy again.",
                )
            )
        if machine.power == "off":
            found.append(Cause("Its BMC says that it is off.", "Switch it on, or look why it went off again."))
    if code == "no_first_boot" and (count := _loader_requests(session, machine)):
        found.append(
            Cause(
                f"It asked for a boot loader {count} more time(s) after the installation and was sent to its own disk.",
                "The firmware boots the network first and its disk did not start: look at its console.",
            )
        )
    return tuple(found)
