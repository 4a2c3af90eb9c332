"""Changes as others are told of them: rows of the audit log, which holds one for every change, in order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp.audit import DONE, AuditRow

# What everybody may know who may look at machines. Accounts, sessions, tokens and refusals are for administrators.
OPEN = frozenset(
    {
        *("machine", "machines", "job", "deployment", "rollout", "sighting"),
        *("cluster", "network", "role", "release", "template", "appliance", "breaker"),
    }
)
AT_ONCE = 500
# On PostgreSQL a row with a lower number may be committed after one with a higher. A gap is waited for this long.
GAP = dt.timedelta(seconds=10)


def name(row: AuditRow) -> str:
    """The event's name: machine.deploy, machine.deploy_failed, network.change."""
    return row.action.replace(" ", "_")


def is_open(event: str) -> bool:
    """Whether everybody may know of it."""
    return event.partition(".")[0] in OPEN


def wanted(event: str, patterns: Sequence[str]) -> bool:
    """Whether one of these patterns means it: machine.*, network.change. No pattern means all that is open."""
    return any(fnmatchcase(event, pattern) for pattern in patterns) if patterns else is_open(event)


def wire(row: AuditRow) -> dict[str, Any]:
    """A change on the wire. `id` grows; one that comes a second time is the same change."""
    return {
        "id": row.id,
        "event": name(row),
        "at": row.at.isoformat(),
        "subject": row.subject,
        "actor": row.actor,
        "details": row.details,
        "before": row.before,
        "after": row.after,
    }


def happened(row: AuditRow) -> bool:
    """Whether it is a change: the log holds refusals too."""
    return row.outcome == DONE


def newest(session: Session) -> int:
    """The number of the last change; 0 where there is none."""
    return session.scalar(select(func.max(AuditRow.id))) or 0


def after(session: Session, number: int, *, now: dt.datetime, limit: int = AT_ONCE) -> list[AuditRow]:
    """The changes that follow, without one that could still be overtaken by one before it."""
    found = select(AuditRow).where(AuditRow.id > number).order_by(AuditRow.id).limit(limit)
    rows = session.scalars(found).all()
    if session.get_bind().dialect.name != "postgresql":
        return list(rows)
    return list(_without_gaps(rows, number, now))


def _without_gaps(rows: Iterable[AuditRow], number: int, now: dt.datetime) -> Iterable[AuditRow]:
    for row in rows:
        if row.id != number + 1 and now - row.at < GAP:
            return
        yield row
        number = row.id
