"""Finding rows: narrowed by who, what, to what, when and how it ended, and paged by number, never by offset."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from pxeapp.audit.models import AuditRow
from pxeapp.errors import FieldProblem, Invalid

ANY = "*"  # at the end of an action: everything that begins so
NEAR = 1000  # rows are written in the order of time, but for as many as are under way at once


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a list is narrowed by; empty fields narrow nothing."""

    actor: str = ""
    subject: str = ""
    action: str = ""
    outcome: str = ""
    address: str = ""
    request_id: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


def moment(said: str) -> dt.datetime | None:
    """A moment as somebody wrote it, UTC unless it says otherwise; nothing for nothing. ValueError: it is none."""
    if not said:
        return None
    found = dt.datetime.fromisoformat(said)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def page(
    session: Session, narrowed: Narrowed, *, after: int = 0, limit: int = 100, newest_first: bool = False
) -> Sequence[AuditRow]:
    """Up to `limit` rows after an id (before it, where the newest come first; 0: from the end)."""
    found = _select(session, narrowed)
    if newest_first:
        found = (found.where(AuditRow.id < after) if after else found).order_by(AuditRow.id.desc())
    else:
        found = found.where(AuditRow.id > after).order_by(AuditRow.id)
    return session.scalars(found.limit(limit)).all()


def shown(row: AuditRow) -> dict[str, Any]:
    """A row as API, exports and commands show it."""
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "outcome": row.outcome,
        "address": row.address,
        "request_id": row.request_id,
        "before": row.before,
        "after": row.after,
        "details": row.details,
        "number": row.number,
        "hash": row.hash,
    }


def check(narrowed: Narrowed) -> None:
    """Raises Invalid for a text that no database takes."""
    wrong = [name for name, said in asdict(narrowed).items() if isinstance(said, str) and "\0" in said]
    if wrong:
        problems = [FieldProblem(name, "holds a NUL character.", "Take it out.") for name in wrong]
        raise Invalid("The audit cannot be narrowed.", problems=problems)


def _select(session: Session, narrowed: Narrowed) -> Select[AuditRow]:
    check(narrowed)
    conditions: list[ColumnElement[bool]] = [
        getattr(AuditRow, name) == said
        for name in ("actor", "subject", "outcome", "address", "request_id")
        if (said := getattr(narrowed, name))
    ]
    if narrowed.action.endswith(ANY):
        conditions.append(AuditRow.action.startswith(narrowed.action[: -len(ANY)], autoescape=True))
    elif narrowed.action:
        conditions.append(AuditRow.action == narrowed.action)
    if narrowed.since is not None:
        first = session.scalar(
            select(AuditRow.id).where(AuditRow.at >= narrowed.since).order_by(AuditRow.at, AuditRow.id).limit(1)
        )
        conditions += [AuditRow.at >= narrowed.since, AuditRow.id >= (first or 0) - NEAR]
    if narrowed.until is not None:
        last = session.scalar(
            select(AuditRow.id)
            .where(AuditRow.at < narrowed.until)
            .order_by(AuditRow.at.desc(), AuditRow.id.desc())
            .limit(1)
        )
        conditions += [AuditRow.at < narrowed.until, AuditRow.id <= (last or 0) + NEAR]
    return select(AuditRow).where(*conditions)
