"""Starting, ending and aborting a deployment: every change of a machine's state that provisioning makes.

Each function works inside the caller's write transaction and leaves nothing half-done: the
deployment's row, the machine's state, the grant, the tokens, the timeline and the audit row change together.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.bmc import power
from pxeapp.errors import Conflict
from pxeapp.machines import service, timeline
from pxeapp.machines.lifecycle import FAILURE_OF, State
from pxeapp.machines.models import Machine, Sighting
from pxeapp.provisioning import admission, breaker, evidence, grants, pinning, records, steps, tokens
from pxeapp.provisioning.checking import Rehearsal
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.plan import check_deployable, ensure_secrets
from pxeapp.provisioning.steps import Step

SUCCEEDED, FAILED, ABORTED = "succeeded", "failed", "aborted"


def latest(session: Session, machine_id: int) -> Deployment | None:
    """The machine's last attempt, running or not."""
    return session.scalar(select(Deployment).where(Deployment.machine_id == machine_id).order_by(Deployment.id.desc()))


def present(session: Session, machine: Machine) -> tuple[str | None, str | None]:
    """Release and role: of the running attempt, else the machine's own."""
    deployment = latest(session, machine.id)
    if deployment is not None and deployment.outcome is None:
        return deployment.release, deployment.role
    return machine.release, machine.role


def deploy(
    session: Session,
    machine: Machine,
    *,
    release: str | None,
    role: str | None,
    rehearsal: Rehearsal,
    requested_by: str,
    now: dt.datetime,
    reimage: bool = False,
) -> Deployment:
    """Begin an attempt; nothing has moved yet when this returns. After Conflict or Invalid nothing has changed.

    The rehearsal is `Checker.rehearse`, made before the caller's transaction: checking takes its time.
    """
    observing.refuse(session)
    _refuse_unfit(machine, reimage=reimage)
    release, role, snapshot = check_deployable(
        session, machine, release=release or machine.release, role=role or machine.role, rehearsal=rehearsal
    )
    service.claim(session, machine, "deploy", now=now)
    ensure_secrets(session, rehearsal.checker.tools, machine, role, now=now)
    machine.release, machine.role, machine.fault = release, role, ""
    attempts = session.scalar(select(func.count()).where(Deployment.machine_id == machine.id)) or 0
    deployment = Deployment(
        machine_id=machine.id,
        attempt=attempts + 1,
        release=release,
        role=role,
        as_of=rehearsal.edition._asdict() if rehearsal.edition is not None else None,
        requested_by=requested_by,
        requested_at=now,
        step=Step.REQUESTED,
        step_since=now,
        step_deadline=now + steps.WAITS[Step.REQUESTED].allowance,
        deadline=now + admission.PATIENCE,  # anew when it is admitted
        due_at=now,
    )
    session.add(deployment)
    session.flush()
    pinning.record(session, deployment, machine, snapshot, now=now)
    session.execute(update(Sighting).where(Sighting.machine_id == machine.id).values(loader_requests=0))
    _record(
        session, machine, deployment, now, requested_by, "deploy", f"Deployment of {release} as {role} was asked for."
    )
    return deployment


def abort(session: Session, machine: Machine, *, requested_by: str, now: dt.datetime) -> Deployment:
    """End the running attempt at whatever step it is; the machine's power is left as it stands."""
    deployment = evidence.running_of(session, machine)
    if deployment is None:
        raise Conflict(f"{machine.name} has no deployment to abort; it is {machine.state}.")
    deployment.reason_code = "aborted"
    _finish(session, machine, deployment, outcome=ABORTED, verb="abort", now=now)
    deployment.reason = machine.fault = f"Aborted by {requested_by} at step {deployment.step}."
    _record(session, machine, deployment, now, requested_by, "abort", deployment.reason)
    return deployment


def release_machine(session: Session, machine: Machine, *, requested_by: str, now: dt.datetime) -> None:
    """Take the machine out of use: available again for the next deployment. Its disk is not touched."""
    _refuse_locked(machine)
    service.claim(session, machine, "release", now=now)
    machine.fault = ""
    _record(session, machine, None, now, requested_by, "release", "Released; it is available.")


def succeed(session: Session, machine: Machine, deployment: Deployment, *, now: dt.datetime) -> None:
    """The machine called in from its own disk and was verified."""
    _finish(session, machine, deployment, outcome=SUCCEEDED, verb="done", now=now)
    machine.fault = ""
    took = int((now - deployment.requested_at).total_seconds())
    _record(session, machine, deployment, now, "system:reconciler", "active", f"Active after {took} s.")


def fail(
    session: Session, machine: Machine, deployment: Deployment, *, code: str, reason: str, now: dt.datetime
) -> None:
    """End the attempt with the sentence that explains it. Idempotent: a finished attempt stays as it ended."""
    if deployment.outcome is not None:
        return
    deployment.reason_code = code
    _finish(session, machine, deployment, outcome=FAILED, verb="fail", now=now)
    deployment.reason = machine.fault = reason
    _record(session, machine, deployment, now, "system:reconciler", "deploy failed", reason, code=code)


def _finish(
    session: Session, machine: Machine, deployment: Deployment, *, outcome: str, verb: str, now: dt.datetime
) -> None:
    deployment.outcome = outcome
    deployment.finished_at = now
    records.keep(session, machine, deployment)
    if outcome != ABORTED:
        session.flush()
        breaker.saw(session, now=now)
    grants.disarm(session, deployment)
    tokens.expire(session, deployment, now=now)
    if outcome != SUCCEEDED and deployment.power_action_id is not None:
        power.cancel(session, deployment.power_action_id, now=now)
    # An operator may have taken the machine away meanwhile; then the attempt ends and the machine stays as it is.
    if machine.state in FAILURE_OF:
        service.claim(session, machine, verb, now=now)


def _refuse_unfit(machine: Machine, *, reimage: bool) -> None:
    _refuse_locked(machine)
    if machine.maintenance:
        raise Conflict(
            f"{machine.name} is in maintenance: {machine.maintenance_reason or 'no reason was given'}.",
            hint="End its maintenance first.",
        )
    if machine.state == State.ACTIVE and not reimage:
        raise Conflict(
            f"{machine.name} is active; deploying would erase it.",
            hint='Release it first, or say so: "reimage": true (CLI: --reimage).',
        )


def refuse_power_order(machine: Machine) -> None:
    """Raises Conflict while a machine's power is not an operator's to order."""
    if machine.state in FAILURE_OF:
        raise Conflict(f"{machine.name} is {machine.state}; its power is not yours now.", hint="Abort that first.")
    _refuse_locked(machine)


def _refuse_locked(machine: Machine) -> None:
    if machine.locked:
        raise Conflict(f"{machine.name} is locked.", hint="Unlock it first; somebody locked it on purpose.")


def _record(
    session: Session,
    machine: Machine,
    deployment: Deployment | None,
    now: dt.datetime,
    actor: str,
    action: str,
    message: str,
    **details: Any,
) -> None:
    number = deployment.id if deployment else None
    timeline.note(
        session,
        machine_id=machine.id,
        deployment_id=number,
        at=now,
        source="reconciler" if actor.startswith("system:") else "operator",
        kind=action,
        message=message,
        **details,
    )
    audit.record(
        session, at=now, actor=actor, action=f"machine.{action}", subject=machine.name, deployment=number, **details
    )
