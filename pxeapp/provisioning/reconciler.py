"""The reconciler: looks at one due deployment and does what its step asks for.

Level-triggered: it reads rows and changes rows, so it may run any number of times, on any host, after
any crash. Hardware is moved by inserting a power action, which the BMC worker carries out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from pxeapp.appliance import observing
from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.db import Database
from pxeapp.machines.models import Machine
from pxeapp.provisioning import activity, admission, breaker, grants, leases, lifecycle, steps
from pxeapp.provisioning.admission import Limits, Turn
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from pxeapp.vault import Vault

LOOK_AGAIN = dt.timedelta(seconds=30)  # evidence sets due_at itself; this only guards against a lost hint
LOOK_AT_POWER = dt.timedelta(seconds=1)
WAITS_FOR_RESUME = "the appliance only observes, until somebody runs `pxeapp resume`"


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Everything a look needs; one per worker process."""

    database: Database
    vault: Vault
    owner: str
    limits: Limits = field(default_factory=Limits)

    def look(self, deployment_id: int, *, now: dt.datetime) -> bool:
        """Look at one deployment if it is due and free; False when there was nothing to do."""
        lease = leases.take(self.database, deployment_id, owner=self.owner, now=now)
        if lease is None:
            return False
        with self.database.write() as session:
            deployment = steps.locked(session, deployment_id)
            if deployment is None or deployment.outcome is not None or not leases.held(deployment, lease):
                return False
            machine = session.get_one(Machine, deployment.machine_id)
            deployment.due_at = min(now + LOOK_AGAIN, deployment.step_deadline)
            self._step(session, machine, deployment, now)
            leases.give_back(deployment)
        return True

    def _step(self, session: Session, machine: Machine, deployment: Deployment, now: dt.datetime) -> None:
        if deployment.frozen:
            _fail_frozen(session, machine, deployment, now)
            return
        handler = HANDLERS.get(Step(deployment.step))
        if handler is not None:
            handler(self, session, machine, deployment, now)
        if deployment.outcome is None and now >= min(deployment.step_deadline, deployment.deadline):
            _fail_stalled(session, machine, deployment, now)


def _arm(look: Reconciler, session: Session, machine: Machine, deployment: Deployment, now: dt.datetime) -> None:
    """When its turn has come, open the grant and order the power cycle in one commit: neither is ever alone."""
    held = WAITS_FOR_RESUME if observing.present(session) else breaker.keeps_waiting(session, deployment)
    turn = Turn(now + LOOK_AGAIN, held) if held else admission.turn(session, look.limits, deployment, now=now)
    if turn.why:
        _queue(session, machine, deployment, turn, now)
        return
    deployment.admitted_at = turn.at
    deployment.progress = ""
    deployment.deadline = turn.at + steps.WHOLE_ATTEMPT  # its time begins now; the queue had a patience of its own
    grants.arm(session, look.vault, deployment, now=now)
    if machine.bmc is not None:
        action = power.request(
            session,
            machine_id=machine.id,
            goal="netboot",
            boot_device="network",
            requested_by="system:reconciler",
            deployment_id=deployment.id,
            now=now,
            start_at=turn.at,
        )
        session.flush()
        deployment.power_action_id = action.id
        message = f"Armed until {deployment.armed_until:%H:%M:%S} UTC; its BMC was told to boot it from the network."
    else:
        message = "Armed for 30 minutes; it has no BMC, so switch it on and have it boot from the network."
    steps.advance(session, deployment, Step.ARMED, now=now, source="reconciler", message=message)
    deployment.due_at = turn.at + LOOK_AT_POWER


def _queue(session: Session, machine: Machine, deployment: Deployment, turn: Turn, now: dt.datetime) -> None:
    """It waits for its turn. That a worker looked at it is proof enough that it was not forgotten."""
    if now >= deployment.deadline:
        hours = int(admission.PATIENCE.total_seconds() // 3600)
        reason = f"It waited {hours} h for its turn: {turn.why}."
        lifecycle.fail(session, machine, deployment, code="no_turn", reason=reason, now=now)
        return
    waits = f"It waits for its turn: {turn.why}."
    if not deployment.progress:
        steps.note(session, deployment, now=now, source="reconciler", kind="queued", message=waits)
    deployment.progress = waits
    deployment.step_deadline = now + steps.WAITS[Step.REQUESTED].allowance
    deployment.due_at = turn.at


def _await_power(
    _look: Reconciler, session: Session, machine: Machine, deployment: Deployment, now: dt.datetime
) -> None:
    if deployment.power_action_id is None:
        return
    action = session.get_one(PowerAction, deployment.power_action_id)
    if action.outcome is None:
        deployment.due_at = now + LOOK_AT_POWER
    elif action.outcome == "done":
        steps.advance(
            session,
            deployment,
            Step.POWER_CYCLED,
            now=now,
            source="bmc",
            message="Observed off, boot device set to network, observed on.",
            power_action=action.id,
        )
    else:
        code = action.error_code or action.outcome
        lifecycle.fail(
            session,
            machine,
            deployment,
            code=f"bmc_{code}",
            reason=action.error or f"The power cycle was {action.outcome}.",
            now=now,
        )


def _verify(_look: Reconciler, session: Session, machine: Machine, deployment: Deployment, now: dt.datetime) -> None:
    """It called in from its own disk; what remains is that nothing we know speaks against it."""
    if machine.bmc is not None and machine.power == "off":
        deployment.due_at = now + LOOK_AT_POWER  # it cannot have called in while off: wait for a fresh observation
        return
    steps.advance(
        session,
        deployment,
        Step.VERIFIED,
        now=now,
        source="reconciler",
        message="It runs from its own disk, its grant is closed and its installer token is dead.",
        power=machine.power,
    )
    lifecycle.succeed(session, machine, deployment, now=now)


def _fail_stalled(session: Session, machine: Machine, deployment: Deployment, now: dt.datetime) -> None:
    step = Step(deployment.step)
    wait = steps.WAITS[step]
    waited = int((now - deployment.step_since).total_seconds() // 60)
    last = deployment.steps[-1]["message"] if deployment.steps else "Nothing was seen of it."
    if activity.sets_up(deployment):
        reason = f"It is installed, but the setting up of its role went silent. It was at: {deployment.progress}"
        lifecycle.fail(session, machine, deployment, code="setup_silent", reason=reason, now=now)
        return
    lifecycle.fail(
        session,
        machine,
        deployment,
        code=wait.stall_code,
        reason=f"Reached {step}, but {wait.stalled} within {waited} min. Last evidence: {last}",
        now=now,
    )


def _fail_frozen(session: Session, machine: Machine, deployment: Deployment, now: dt.datetime) -> None:
    lifecycle.fail(
        session,
        machine,
        deployment,
        code="second_claimant",
        reason=(
            f"A second address asked for the installer that {deployment.claimed_address} had claimed. "
            "Somebody forges its MAC, or two machines have the same one."
        ),
        now=now,
    )


Handler = Callable[[Reconciler, Session, Machine, Deployment, dt.datetime], None]
HANDLERS: dict[Step, Handler] = {
    Step.REQUESTED: _arm,
    Step.ARMED: _await_power,
    Step.FIRST_BOOT: _verify,
}
