"""Looking at jobs, taking one to work on it, and stopping one. What a job does is provisioning's to say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts.actor import Actor
from pxeapp.db import Database
from pxeapp.errors import Conflict, NotFound
from pxeapp.jobs.models import COMPARE, Job, JobContent, JobItem

WAITING, DONE, REFUSED, CANCELLED = "waiting", "done", "refused", "cancelled"
OUTCOMES = (WAITING, DONE, REFUSED, CANCELLED)
KEPT = dt.timedelta(days=30)  # after a job has ended


def get(session: Session, number: int, *, lock: bool = False, by: str | None = None) -> Job:
    """A job by its number, of one who asked for it where `by` is given; raises NotFound."""
    row = session.get(Job, number, with_for_update=True if lock else None)
    if row is None or by not in (None, row.requested_by):
        raise NotFound(f"There is no job {number}.", hint=f"Jobs are kept for {KEPT.days} days after they have ended.")
    return row


def listing(
    session: Session, *, after: int, limit: int, running: bool | None = None, by: str | None = None
) -> Sequence[Job]:
    """Jobs in the order in which they were asked for; those of one who asked for them where `by` is given."""
    found = select(Job).where(Job.id > after).order_by(Job.id).limit(limit)
    if by is not None:
        found = found.where(Job.requested_by == by)
    if running is not None:
        found = found.where(Job.finished_at.is_(None) if running else Job.finished_at.is_not(None))
    return session.scalars(found).all()


def items(session: Session, job: Job, *, after: int, limit: int, outcome: str = "") -> Sequence[JobItem]:
    """A job's machines in the order in which they are worked on."""
    found = select(JobItem).where(JobItem.job_id == job.id, JobItem.id > after).order_by(JobItem.id).limit(limit)
    return session.scalars(found.where(JobItem.outcome == outcome) if outcome else found).all()


def seen_by(actor: Actor) -> str | None:
    """Whoever is limited to some projects sees the jobs that they ordered: others name machines of other projects."""
    return actor.label if actor.projects is not None else None


def counts(session: Session, jobs: Sequence[Job]) -> dict[int, dict[str, int]]:
    """How many machines of each job ended how."""
    found: dict[int, dict[str, int]] = {job.id: dict.fromkeys(OUTCOMES, 0) for job in jobs}
    for job in jobs:
        if job.action == COMPARE:
            rest = CANCELLED if job.cancelled else REFUSED if job.problem else WAITING
            found[job.id].update({DONE: job.reached, rest: job.total - job.reached})
    query = select(JobItem.job_id, JobItem.outcome, func.count()).where(JobItem.job_id.in_(found))
    for job_id, outcome, number in session.execute(query.group_by(JobItem.job_id, JobItem.outcome)):
        found[job_id][outcome] = number
    return found


def cancel(session: Session, number: int, *, actor: str, now: dt.datetime, by: str | None = None) -> Job:
    """Begin nothing more of it; what was begun goes on. Raises Conflict for one that has ended."""
    job = get(session, number, lock=True, by=by)
    if job.finished_at is not None:
        raise Conflict(f"Job {number} has ended already.")
    if not job.cancelled:
        job.cancelled = True
        session.execute(
            update(JobItem)
            .where(JobItem.job_id == job.id, JobItem.outcome == WAITING)
            .values(outcome=CANCELLED, at=now, detail=f"Cancelled by {actor}.")
        )
        audit.record(session, at=now, actor=actor, action="job.cancel", subject=f"job {number}")
    finish(session, job, now=now)
    return job


def take(
    database: Database, which: ColumnElement[bool], *, owner: str, lease: dt.timedelta, now: dt.datetime
) -> int | None:
    """The oldest of these jobs that nobody works on, claimed for `owner`; None: there is none, or it went."""
    free = or_(Job.lease_until.is_(None), Job.lease_until < now, Job.lease_owner == owner)
    with database.read() as session:
        number = session.scalar(select(Job.id).where(Job.finished_at.is_(None), which, free).order_by(Job.id).limit(1))
    if number is None:
        return None
    with database.write() as session:
        mine = session.execute(
            update(Job)
            .where(Job.id == number, Job.finished_at.is_(None), free)
            .values(lease_owner=owner, lease_until=now + lease)
        )
        return number if mine.rowcount == 1 else None  # type: ignore[attr-defined]


def renew(session: Session, number: int, *, owner: str, until: dt.datetime, **values: Any) -> bool:
    """Go on with it, and write these values down; False: it was cancelled, or is somebody else's by now."""
    renewed = session.execute(
        update(Job)
        .where(Job.id == number, Job.lease_owner == owner, Job.finished_at.is_(None))
        .values(lease_until=until, **values)
    )
    return bool(renewed.rowcount == 1)  # type: ignore[attr-defined]


def finish(session: Session, job: Job, *, now: dt.datetime) -> None:
    """Every machine has its outcome."""
    if job.finished_at is not None:
        return
    job.finished_at = now
    job.lease_owner = job.lease_until = None
    if job.action == COMPARE:  # what was thought of is kept no longer than it is needed
        session.execute(update(JobContent).where(JobContent.job_id == job.id).values(wanted=None))
    ended = counts(session, [job])[job.id]
    audit.record(
        session, at=now, actor="system:jobs", action="job.finish", subject=f"job {job.id}", job_action=job.action,
        requested_by=job.requested_by, ended={name: number for name, number in ended.items() if number},
    )  # fmt: skip


def forget_old(session: Session, *, now: dt.datetime) -> None:
    """A report is kept for a while, not for ever."""
    old = select(Job.id).where(Job.finished_at < now - KEPT)
    for rows in (JobItem, JobContent):
        session.execute(delete(rows).where(rows.job_id.in_(old)))
    session.execute(delete(Job).where(Job.finished_at < now - KEPT))


def wire(job: Job, ended: dict[str, int]) -> dict[str, Any]:
    """A job as the API shows it."""
    return {
        "id": job.id,
        "action": job.action,
        "options": job.options,
        "state": "finished" if job.finished_at else "running",
        "requested_by": job.requested_by,
        "requested_at": job.requested_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "cancelled": job.cancelled,
        "problem": job.problem or "",
        "total": job.total,
        "waiting": ended[WAITING],
        "done": ended[DONE],
        "refused": ended[REFUSED],
        "skipped": ended[CANCELLED],
    }


def item_wire(row: JobItem) -> dict[str, Any]:
    """One machine of a job as the API shows it."""
    return {
        "id": row.id,
        "machine": row.machine,
        "machine_id": row.machine_id,
        "outcome": row.outcome,
        "detail": row.detail,
        "result": row.result,
        "at": row.at.isoformat() if row.at else None,
    }
