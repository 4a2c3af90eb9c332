"""What still needs a release: machines that name it, and what is being installed with it right now."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.errors import Conflict
from pxeapp.machines.models import Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.sentences import first_few

MOST_NAMED = 5


def refuse_used_release(session: Session, name: str) -> None:
    """Raises Conflict: who boots next would find nothing, and who is installing now would break off."""
    running = (
        select(Machine.name)
        .join(Deployment, Deployment.machine_id == Machine.id)
        .where(Deployment.release == name, Deployment.outcome.is_(None))
    )
    if found := session.scalars(running.order_by(Machine.name).limit(MOST_NAMED + 1)).all():
        raise Conflict(
            f"{first_few(found, MOST_NAMED)}: {name} is being installed there.", hint="Wait for it, or abort it."
        )
    chosen = select(Machine.name).where(Machine.release == name)
    if found := session.scalars(chosen.order_by(Machine.name).limit(MOST_NAMED + 1)).all():
        raise Conflict(
            f"{first_few(found, MOST_NAMED)}: their release is {name}.",
            hint="Give them another release, or none, first.",
        )
