"""Machines seen on the wire, by boot MAC: the unknown ones too, capped in number and never written to."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import String, delete, func, select, update
from sqlalchemy.orm import Session

from pxeapp.machines.models import Sighting

UNKNOWN_LIMIT = 10_000  # strangers kept; a forger of MACs fills this and then evicts only other strangers
EVICT_AT_ONCE = 500


def record(
    session: Session,
    *,
    mac: str,
    now: dt.datetime,
    machine_id: int | None = None,
    **said: str | None,
) -> Sighting:
    """Note that a MAC was seen; what it says of itself (`address`, `arch`, `serial`, ...) replaces what it said before.

    Nothing that is not said now is forgotten: DHCP knows the architecture, iPXE the serial number.
    """
    row = session.get(Sighting, mac)
    if row is None:
        if machine_id is None:
            _make_room(session)
        row = Sighting(mac=mac, first_seen=now, last_seen=now, loader_requests=0)
        session.add(row)
    row.last_seen = max(now, row.last_seen)
    row.machine_id = machine_id if machine_id is not None else row.machine_id
    for name, value in said.items():
        if value and (fitting := _fit(name, value)):
            setattr(row, name, fitting)
    session.flush()
    return row


def count_loader_request(session: Session, *, mac: str) -> int:
    """Count one more request for a loader that was answered with local boot; returns the count of this life."""
    counted = session.scalar(
        update(Sighting)
        .where(Sighting.mac == mac)
        .values(loader_requests=Sighting.loader_requests + 1)
        .returning(Sighting.loader_requests)
        .execution_options(synchronize_session=False)
    )
    return counted or 0


def _fit(name: str, value: str) -> str:
    """What of a stranger's words a column can hold: PostgreSQL refuses what is too long, NUL and half a character."""
    column = Sighting.__table__.c[name].type
    limit = column.length if isinstance(column, String) else None
    return "".join(letter for letter in value if letter.isprintable())[:limit]


def _make_room(session: Session) -> None:
    """Evict the strangers not seen for longest once there are too many of them."""
    count = session.scalar(select(func.count()).select_from(Sighting).where(Sighting.machine_id.is_(None))) or 0
    if count < UNKNOWN_LIMIT:
        return
    oldest = select(Sighting.mac).where(Sighting.machine_id.is_(None)).order_by(Sighting.last_seen).limit(EVICT_AT_ONCE)
    session.execute(delete(Sighting).where(Sighting.mac.in_(oldest)).execution_options(synchronize_session=False))
