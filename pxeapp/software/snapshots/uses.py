"""The record of who was given which snapshot, by digest: a channel leads elsewhere tomorrow, this stays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.software.snapshots import channels, service
from pxeapp.software.snapshots.models import Snapshot, SnapshotUse
from pxeapp.software.snapshots.pins import Pin


def resolve(session: Session, pin: Pin) -> Snapshot:
    """What a pin means now; raises NotFound, or Conflict for a channel that leads nowhere."""
    return channels.leads_to(session, pin.name) if pin.channel else service.get(session, pin.name)


def record(session: Session, subject: str, pin: Pin, *, machine: str = "", now: dt.datetime) -> SnapshotUse:
    """Write down which snapshot somebody is given."""
    found = resolve(session, pin)
    row = SnapshotUse(subject=subject, machine=machine, at=now, pin=str(pin), snapshot=found.name, digest=found.digest)
    session.add(row)
    return row


def of(session: Session, subject: str) -> dict[str, Any] | None:
    """The last that a deployment or rollout was given, as the API shows it."""
    found = select(SnapshotUse).where(SnapshotUse.subject == subject).order_by(SnapshotUse.id.desc()).limit(1)
    row = session.scalar(found)
    return wire(row) if row is not None else None


def listing(session: Session, snapshot: str, *, before: int = 0, limit: int) -> Sequence[SnapshotUse]:
    """Who was given this snapshot, the latest first."""
    found = select(SnapshotUse).where(SnapshotUse.snapshot == snapshot).order_by(SnapshotUse.id.desc())
    return session.scalars((found.where(SnapshotUse.id < before) if before else found).limit(limit)).all()


def wire(row: SnapshotUse) -> dict[str, Any]:
    """A line of the record as the API shows it."""
    return {
        "id": row.id,
        "subject": row.subject,
        "machine": row.machine,
        "at": row.at.isoformat(),
        "pin": row.pin,
        "snapshot": row.snapshot,
        "digest": row.digest,
    }
