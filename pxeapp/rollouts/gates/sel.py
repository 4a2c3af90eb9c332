"""The sel gate: the BMC's event log has no new error since the machine was drained.

The log is read anew for it, by an order to the BMC worker, which alone talks to BMCs; until the answer is there the
gate does not hold. What counts is which entries are new to us, not what the BMC's clock says, which is often wrong.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp.bmc import orders
from pxeapp.bmc.models import SelEntry
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.machines.models import Bmc
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import SelGate
from pxeapp.sentences import few

KIND = "sel"
ERRORS = ("critical", "failed")
FRESH = dt.timedelta(minutes=1)  # a reading that is older is asked for again while the machine is watched
NAMED = 3
BY = "system:rollouts"


@dataclass(frozen=True, slots=True)
class Sel:
    """Compares with the number of the last entry that was there when the machine was drained."""

    database: Database

    def look(self, subject: Subject, said: SelGate, *, now: dt.datetime) -> Finding:  # noqa: ARG002 - the port's words
        """Whether an error came."""
        problem = read_since(self.database, subject.machine_id, subject.began_at, now=now)
        if problem:
            return finding(KIND, problem, holds=False)
        with self.database.read() as session:
            new = _errors(session, subject)
        if new:
            named = few([f"{row.sensor}: {row.event}" for row in new], NAMED, comma="; ", last="; and ")
            return finding(KIND, f"New in the event log: {named}.", holds=False)
        return finding(KIND, "No new error in the event log.", holds=True)


def newest(session: Session, machine_id: int) -> int:
    """The number of the last entry that we know of; 0: none."""
    return session.scalar(select(func.max(SelEntry.id)).where(SelEntry.machine_id == machine_id)) or 0


def has_bmc(session: Session, machine_id: int) -> bool:
    """Whether there is an event log to be read."""
    return session.scalar(select(Bmc.id).where(Bmc.machine_id == machine_id)) is not None


def read_since(database: Database, machine_id: int, moment: dt.datetime, *, now: dt.datetime) -> str:
    """Have the log read once more where the last reading is old. Why there is none since `moment`; empty: there is."""
    with database.read() as session:
        if not has_bmc(session, machine_id):
            return "It has no BMC in our records, so no event log."
        fact = orders.fact(session, machine_id, "sel")
        last = orders.latest(session, machine_id, "sel")
    seen_at = fact.seen_at if fact is not None else None
    waits = last is not None and last.finished_at is None
    failed = last.error if last is not None and _lately(last.finished_at, now) else ""
    if not waits and not failed and not _lately(seen_at, now):
        try:
            with database.write() as session:
                orders.request(session, machine_id=machine_id, kind="sel", requested_by=BY, now=now)
        except Conflict as error:  # the machine or its BMC went meanwhile
            return str(error)
    if seen_at is not None and moment <= seen_at <= now:
        return ""
    return failed or "Its event log is being read."


def _lately(moment: dt.datetime | None, now: dt.datetime) -> bool:
    return moment is not None and now - FRESH <= moment <= now


def _errors(session: Session, subject: Subject) -> list[SelEntry]:
    found = select(SelEntry).where(
        SelEntry.machine_id == subject.machine_id, SelEntry.asserted.is_(True), SelEntry.severity.in_(ERRORS)
    )
    seen = subject.earlier.get("drain", {}).get("sel_seen")
    # Not remembered, as with a machine whose drain was skipped: then what came since this step began.
    since = SelEntry.id > seen if isinstance(seen, int) else SelEntry.seen_at >= subject.began_at
    return list(session.scalars(found.where(since).order_by(SelEntry.id)))
