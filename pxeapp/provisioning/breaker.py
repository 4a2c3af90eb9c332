"""The breaker: when installing in general starts to fail, machines that work are not erased any more.

One bad machine fails alone. When most of the last attempts failed, whatever they were and whoever asked for them, the
cause is ours or the network's, and each further reinstallation would take another working machine away. So machines
that have run before wait, with the sentence that says why, until a person has looked and resets the breaker. First
installations of new machines go on: they have nothing to lose, and they are how one tries whether it works again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.db import one_at_a_time
from pxeapp.errors import Conflict
from pxeapp.provisioning.models import Breaker, Deployment

LAST = 10  # attempts that are looked at
LEAST = 3  # failures among them; two may be two bad machines
ONLY = 1  # the one row's number


def judge(failed: Sequence[bool]) -> bool:
    """Pure: whether it opens, by how the last attempts ended, the newest first. More than half must have failed."""
    seen = failed[:LAST]
    return sum(seen) >= LEAST and 2 * sum(seen) > len(seen)


def holds(session: Session) -> str:
    """Why nothing that works is reinstalled, as part of a sentence; empty while the breaker is closed."""
    row = session.get(Breaker, ONLY)
    return row.reason if row is not None and row.opened_at is not None else ""


def keeps_waiting(session: Session, deployment: Deployment) -> str:
    """Why this attempt may not begin; empty for one that may."""
    why = holds(session)
    if not why:
        return ""
    ran_before = exists().where(
        Deployment.machine_id == deployment.machine_id,
        Deployment.id < deployment.id,
        Deployment.outcome == "succeeded",
    )
    return why if session.scalar(select(ran_before)) else ""


def saw(session: Session, *, now: dt.datetime) -> None:
    """An attempt has succeeded or failed; the caller has flushed it. Opens the breaker when it is time."""
    one_at_a_time(session, "breaker")
    row = _the_row(session)
    if row.opened_at is not None:
        return
    ended = session.scalars(
        select(Deployment.outcome)
        .where(Deployment.outcome.in_(("succeeded", "failed")), Deployment.id > row.after_id)
        .order_by(Deployment.finished_at.desc(), Deployment.id.desc())
        .limit(LAST)
    ).all()
    if not judge([outcome == "failed" for outcome in ended]):
        return
    failures = sum(outcome == "failed" for outcome in ended)
    row.opened_at = now
    row.reason = f"reinstalling is stopped, since {failures} of the last {len(ended)} installations failed"
    audit.record(session, at=now, actor="system:breaker", action="breaker.open", subject="breaker", reason=row.reason)


def reset(session: Session, *, actor: str, now: dt.datetime) -> None:
    """Reinstall again; what failed before is not counted any more. Raises Conflict when it is not open."""
    one_at_a_time(session, "breaker")
    row = _the_row(session)
    if row.opened_at is None:
        raise Conflict("The breaker is not open; reinstalling goes on.")
    audit.record(
        session, at=now, actor=actor, action="breaker.reset", subject="breaker", reason=row.reason,
        open_since=row.opened_at.isoformat(),
    )  # fmt: skip
    row.opened_at, row.reason = None, ""
    row.reset_at, row.reset_by = now, actor
    row.after_id = session.scalar(select(Deployment.id).order_by(Deployment.id.desc()).limit(1)) or 0


def state(session: Session) -> dict[str, object]:
    """As the API tells of it."""
    row = session.get(Breaker, ONLY)
    if row is None:
        return {"open": False, "opened_at": None, "reason": "", "reset_at": None, "reset_by": None}
    return {
        "open": row.opened_at is not None,
        "opened_at": row.opened_at.isoformat() if row.opened_at else None,
        "reason": row.reason,
        "reset_at": row.reset_at.isoformat() if row.reset_at else None,
        "reset_by": row.reset_by,
    }


def _the_row(session: Session) -> Breaker:
    row = session.get(Breaker, ONLY)
    if row is None:
        row = Breaker(id=ONLY)
        session.add(row)
        session.flush()
    return row
