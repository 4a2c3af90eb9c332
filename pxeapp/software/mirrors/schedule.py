"""Syncs that nobody has to order: every so many hours, each mirror at a moment of its own."""

from __future__ import annotations

import datetime as dt
import zlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.software.mirrors import service
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.tasks import service as tasks

ACTOR = "system:schedule"
JITTER = 10  # percent of the interval that mirrors come earlier, so that they do not all come at once


def look(_settings: Settings, database: Database, now: dt.datetime) -> None:
    """Order a sync of each mirror that is due; called by the software worker every half minute."""
    with database.read() as session:
        rows = session.scalars(select(SoftwareRepository).where(SoftwareRepository.origin == service.MIRROR)).all()
        names = [row.name for row in rows if is_due(row, _last(session, row.name), now)]
    for name in names:
        try:
            with database.write() as session:
                service.sync(session, name, actor=ACTOR, now=now)
        except Conflict:  # it is at it already
            continue


def is_due(row: SoftwareRepository, last: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether a mirror's time has come; one that was tried, whatever came of it, waits for its next turn.

    `last` is when its last sync was ordered; orders are kept for a while, and then what the row remembers counts.
    """
    hours = int(row.mirror.get("every_hours", 0))
    if not hours:
        return False
    said = service.state(row).get("tried_at")
    tried = [moment for moment in (last, dt.datetime.fromisoformat(said) if said else None) if moment is not None]
    if not tried:
        return True
    earlier = zlib.crc32(f"{row.name} {max(tried)}".encode()) % (JITTER * 1000) / 100_000
    return now >= max(tried) + dt.timedelta(hours=hours * (1 - earlier))


def _last(session: Session, name: str) -> dt.datetime | None:
    ordered = tasks.listing(session, limit=1, kind=service.SYNC, subject=name)
    return ordered[0].requested_at if ordered else None
