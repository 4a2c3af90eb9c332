"""Ordering a task, looking at it, stopping it. What a task does stands in the table of software/kinds.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.errors import Conflict, NotFound
from pxeapp.software.tasks.models import SoftwareTask

DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
WAITING, RUNNING = "waiting", "running"
STATES = (WAITING, RUNNING, DONE, FAILED, CANCELLED)
KEPT = dt.timedelta(days=90)  # after a task has ended


def order(
    session: Session, kind: str, subject: str, options: dict[str, Any], *, actor: str, now: dt.datetime
) -> SoftwareTask:
    """Write it down; a worker takes it within a second. Raises Conflict while such a one is unfinished."""
    there = session.scalar(
        select(SoftwareTask.id).where(
            SoftwareTask.kind == kind, SoftwareTask.subject == subject, SoftwareTask.finished_at.is_(None)
        )
    )
    if there is not None:
        raise Conflict(
            f"Task {there} works on {subject} already.", hint=f"Wait for it, or: pxeapp software cancel {there}"
        )
    row = SoftwareTask(kind=kind, subject=subject, options=options, requested_by=actor, requested_at=now)
    session.add(row)
    session.flush()
    audit.record(session, at=now, actor=actor, action=kind, subject=f"software:{subject}", task=row.id, **options)
    return row


def get(session: Session, number: int, *, lock: bool = False) -> SoftwareTask:
    """A task by its number; raises NotFound."""
    row = session.get(SoftwareTask, number, with_for_update=True if lock else None)
    if row is None:
        raise NotFound(
            f"There is no task {number}.", hint=f"Tasks are kept for {KEPT.days} days after they have ended."
        )
    return row


def listing(
    session: Session, *, before: int = 0, limit: int, running: bool | None = None, kind: str = "", subject: str = ""
) -> Sequence[SoftwareTask]:
    """Tasks, the latest first; with `before` those older than that number."""
    found = select(SoftwareTask).order_by(SoftwareTask.id.desc()).limit(limit)
    if before:
        found = found.where(SoftwareTask.id < before)
    if running is not None:
        found = found.where(SoftwareTask.finished_at.is_(None) if running else SoftwareTask.finished_at.is_not(None))
    if kind:
        found = found.where(SoftwareTask.kind == kind)
    return session.scalars(found.where(SoftwareTask.subject == subject) if subject else found).all()


def cancel(session: Session, number: int, *, actor: str, now: dt.datetime) -> SoftwareTask:
    """Stop it; one that runs stops within a few seconds, and what it worked on is what it was before."""
    row = get(session, number, lock=True)
    if row.finished_at is not None:
        raise Conflict(f"Task {number} has ended already.")
    if not row.cancelled:
        row.cancelled = True
        if row.lease_owner is None:
            row.finished_at, row.outcome = now, CANCELLED
        audit.record(session, at=now, actor=actor, action="software.cancel", subject=f"task {number}")
    return row


def retry(session: Session, number: int, *, actor: str, now: dt.datetime) -> SoftwareTask:
    """Order the same again, as a new task; what has come in already is not fetched again."""
    row = get(session, number)
    if row.finished_at is None:
        raise Conflict(f"Task {number} has not ended.", hint=f"Wait for it, or: pxeapp software cancel {number}")
    return order(session, row.kind, row.subject, row.options, actor=actor, now=now)


def forget_old(session: Session, *, now: dt.datetime) -> None:
    """A record is kept for a while, not for ever."""
    session.execute(delete(SoftwareTask).where(SoftwareTask.finished_at < now - KEPT))


def wire(row: SoftwareTask) -> dict[str, Any]:
    """A task as the API shows it."""
    return {
        "id": row.id,
        "kind": row.kind,
        "subject": row.subject,
        "state": row.outcome or (RUNNING if row.lease_owner else WAITING),
        "cancelling": row.cancelled and row.finished_at is None,
        "done": row.done,
        "total": row.total,
        "unit": row.unit,
        "says": row.says,
        "problem": row.problem,
        "options": row.options,
        "result": row.result,
        "requested_by": row.requested_by,
        "requested_at": row.requested_at.isoformat(),
        "started_at": row.started_at.isoformat() if row.started_at else None,
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
    }
