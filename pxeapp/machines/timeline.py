"""The machine's timeline: every capability writes to it, nobody rewrites it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.machines.models import Event


def note(
    session: Session,
    *,
    machine_id: int,
    at: dt.datetime,
    source: str,
    kind: str,
    message: str,
    deployment_id: int | None = None,
    **evidence: Any,
) -> Event:
    """Append one event in the caller's transaction. `evidence` must be plain JSON without secrets."""
    event = Event(
        machine_id=machine_id,
        deployment_id=deployment_id,
        at=at,
        source=source,
        kind=kind,
        message=message,
        evidence=evidence,
    )
    session.add(event)
    return event
