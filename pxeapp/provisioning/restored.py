"""What a restore does to the rows of an older moment: nothing of it moves hardware, all of it is observed anew.

Since the backup was made the machines went on. An order that was about to be carried out was carried out, or was
aborted; what was being installed may long be in use. So no attempt of before is ever armed again and no command of
before is sent: those that had not begun end, the others wait for what their machines report, until their deadline.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.machines.models import Machine
from pxeapp.provisioning import grants, lifecycle, steps
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step

CODE = "restored"


@dataclass(frozen=True, slots=True)
class Found:
    """What was under way when the backup was made."""

    ended: int  # deployments that had not been armed yet
    observed: int  # deployments that go on by evidence only
    power: int  # power actions whose outcome nobody knows


def observe_anew(session: Session, *, made_at: dt.datetime, now: dt.datetime) -> Found:
    """Take every order of before out of the rows; the caller has the appliance observe only, in the same commit."""
    when = f"{made_at:%Y-%m-%d %H:%M} UTC"
    actions = session.scalars(select(PowerAction).where(PowerAction.finished_at.is_(None))).all()
    for action in actions:
        _forget(session, action, when, now)
    ended = observed = 0
    for deployment in session.scalars(select(Deployment).where(Deployment.outcome.is_(None))).all():
        machine = session.get_one(Machine, deployment.machine_id)
        deployment.power_action_id = None
        deployment.lease_until = None
        deployment.lease_epoch += 1
        if deployment.step == Step.REQUESTED:
            reason = f"It had not begun when the backup of {when} was made. Look at the machine before you deploy it."
            lifecycle.fail(session, machine, deployment, code=CODE, reason=reason, now=now)
            ended += 1
        else:
            grants.disarm(session, deployment)
            deployment.due_at = now
            _note(session, deployment, when, now)
            observed += 1
    session.execute(
        update(Machine).values(power="unknown", power_seen_at=None).execution_options(synchronize_session=False)
    )
    return Found(ended, observed, len(actions))


def _forget(session: Session, action: PowerAction, when: str, now: dt.datetime) -> None:
    said = f"it was under way when the backup of {when} was made; what became of it is not known"
    action.lease_epoch += 1
    power.end(session, action, outcome=power.UNCONFIRMED, now=now, note=said)
    action.error_code, action.error = CODE, f"{said[0].upper()}{said[1:]}."


def _note(session: Session, deployment: Deployment, when: str, now: dt.datetime) -> None:
    steps.note(
        session,
        deployment,
        now=now,
        source="operator",
        kind=CODE,
        message=f"Restored from the backup of {when}, in which it stood at {deployment.step}. It is neither armed nor "
        "switched again; what the machine reports decides.",
    )
