"""What is kept of each finished attempt for the reports, see `DeploymentRecord`."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from pxeapp.machines.models import Machine
from pxeapp.provisioning.models import Deployment, DeploymentRecord
from pxeapp.provisioning.steps import Step

STEPS: tuple[Step, ...] = tuple(step for step in Step if step != Step.REQUESTED)


def keep(session: Session, machine: Machine, deployment: Deployment) -> None:
    """Put a finished attempt on record; in the transaction that ends it."""
    if deployment.outcome is None or deployment.finished_at is None:
        raise ValueError("Only a finished attempt is put on record.")
    session.add(
        DeploymentRecord(
            deployment_id=deployment.id,
            machine_id=machine.id,
            machine=machine.name,
            release=deployment.release,
            role=deployment.role,
            requested_at=deployment.requested_at,
            finished_at=deployment.finished_at,
            outcome=deployment.outcome,
            reason_code=deployment.reason_code,
            took_ms=_ms(deployment.finished_at - deployment.requested_at),
            **took(deployment),
        )
    )


def took(deployment: Deployment) -> dict[str, int]:
    """How long after the one before it each step was reached, in milliseconds."""
    found: dict[str, int] = {}
    before = deployment.requested_at
    for entry in deployment.steps:
        at = dt.datetime.fromisoformat(entry["at"])
        if entry["step"] in STEPS:
            found[entry["step"]] = _ms(at - before)
        before = at
    return found


def _ms(length: dt.timedelta) -> int:
    return max(0, round(length.total_seconds() * 1000))
