"""The clock was set, or nobody was here for a while: what rows are decided by moves along, at once and only once.

Deadlines are kept in the database in wall-clock time, since only that outlives a process. When the clock jumps by a
day, every deadline would be over at once, or none for a day. The same is true of an appliance that was off: what
machines did meanwhile could not reach it. So the difference between the time a worker last saw and the time it is now
is added to every moment that still decides something.

Each process compares its wall clock with the time since boot before each transaction, which costs a microsecond, and
so moves the rows before anything is decided by the new time. Whoever comes first moves them and writes the new time
down; the others find it done. Leases end and their epochs count up, so that what a worker holds in memory, with times
of before, is dropped and taken up anew from the rows.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.appliance.models import ONLY, Appliance
from pxeapp.db import Database, Timestamp
from pxeapp.db import now as wall_clock

SLACK = dt.timedelta(seconds=60)  # far more than a tick and two hosts' clocks differ by, less than any allowance
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Moments:
    """The columns of a table that something is decided by, of the rows for which that is still open, or of all."""

    table: str
    columns: tuple[str, ...]
    open_while_null: str = ""  # the column that a finished row has filled
    open_until: str = ""  # or: the row is open until this moment
    key: str = "id"
    leased: bool = False


# By name and not by model: the BMC's process, too, moves the deployments, which it does not know.
MOMENTS: tuple[Moments, ...] = (
    Moments(
        "deployments",
        ("step_since", "step_deadline", "deadline", "due_at", "admitted_at", "armed_until"),
        open_while_null="outcome",
        leased=True,
    ),
    Moments(
        "power_actions",
        ("phase_since", "due_at", "deadline", "command_at"),
        open_while_null="finished_at",
        leased=True,
    ),
    Moments("node_tokens", ("expires_at",), open_until="expires_at", key="token_hash"),
    Moments("bmc_orders", ("due_at", "deadline"), open_while_null="finished_at", leased=True),
    Moments("jobs", ("lease_until",), open_while_null="finished_at"),
    Moments("software_tasks", ("lease_until",), open_while_null="finished_at"),
    Moments("rollouts", ("soak_until", "deadline", "due_at"), open_while_null="finished_at", leased=True),
    Moments("rollout_members", ("step_deadline", "due_at"), open_while_null="finished_at", leased=True),
    Moments("rollout_steps", ("started_at",), open_while_null="finished_at"),
    Moments("webhooks", ("due_at", "failing_since", "lease_until")),
)


class Clock:
    """Watches one process's clock on behalf of one database."""

    def __init__(
        self,
        database: Database,
        *,
        wall: Callable[[], dt.datetime] = wall_clock,
        since_boot: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._database = database
        self._wall = wall
        self._since_boot = since_boot
        self._lead: float | None = None  # of the wall clock over the time since boot; None: not looked yet
        self._beat_at: float | None = None
        self._looking = threading.Lock()
        self._said = False

    def check(self) -> None:
        """Before each transaction: notice a jump, and move the rows before anybody decides by the new time."""
        lead = self._wall().timestamp() - self._since_boot()
        if self._lead is not None and abs(lead - self._lead) < SLACK.total_seconds():
            self._lead = lead  # a clock that is corrected little by little does not jump
            return
        with self._looking:
            lead = self._wall().timestamp() - self._since_boot()
            if self._lead is None or abs(lead - self._lead) >= SLACK.total_seconds():
                self._settle()
                self._lead = lead

    def beat(self) -> None:
        """Write the time down; called by the worker every few seconds. Notices as well that nobody did for a while."""
        self.check()
        with self._looking, Session(self._database.engine) as session:
            session.connection(execution_options={"pxeapp_write": True})
            here = observing.the_row(session)
            now, elapsed = self._wall(), self._elapsed()
            gap = now - (here.clock_at or now)
            if abs(gap) >= SLACK and not dt.timedelta() < gap <= elapsed + SLACK:
                self._say_that_clocks_differ(gap)
                return
            if gap >= SLACK:
                move(session, gap, now=now)
            here.clock_at = now
            session.commit()
            self._beat_at = self._since_boot()
            self._said = False

    def _settle(self) -> None:
        """This process has just started, or its clock jumped: compare with what was written down."""
        with Session(self._database.engine) as session:
            seen = session.scalar(sa.select(Appliance.clock_at).where(Appliance.id == ONLY))
        if seen is None or abs(self._wall() - seen) < SLACK:
            return
        with Session(self._database.engine) as session:
            session.connection(execution_options={"pxeapp_write": True})
            here = observing.the_row(session)
            now = self._wall()
            gap = now - (here.clock_at or now)
            if abs(gap) >= SLACK:  # else another process was quicker
                move(session, gap, now=now)
                here.clock_at = now
                session.commit()

    def _elapsed(self) -> dt.timedelta:
        beat_at = self._since_boot() if self._beat_at is None else self._beat_at
        return dt.timedelta(seconds=self._since_boot() - beat_at)

    def _say_that_clocks_differ(self, gap: dt.timedelta) -> None:
        if not self._said:
            log.error("Another host of this appliance has a clock that differs by %s; set both by NTP.", abs(gap))
        self._said = True


def watch(database: Database) -> Clock:
    """Have every transaction of this database look at the clock first."""
    clock = Clock(database)
    database.before_each = clock.check
    return clock


def move(session: Session, by: dt.timedelta, *, now: dt.datetime) -> None:
    """Move every moment that still decides something; one audit row says so. The caller commits."""
    moved = {each.table: _move_table(session, each, by, before=now - by) for each in MOMENTS}
    seconds = round(by.total_seconds())
    log.warning("The clock went %s by %s s, or nobody was here; moved along: %s", _way(by), abs(seconds), moved)
    audit.record(
        session, at=now, actor="system:clock", action="clock.moved", subject="appliance", seconds=seconds, rows=moved
    )


def _move_table(session: Session, moments: Moments, by: dt.timedelta, *, before: dt.datetime) -> int:
    columns = {name: sa.column(name, Timestamp()) for name in (*moments.columns, moments.open_until) if name}
    key: sa.ColumnClause[Any] = sa.column(moments.key)
    table = sa.table(moments.table, key, *columns.values())
    still_open: sa.ColumnElement[bool] = sa.true()
    if moments.open_while_null:
        still_open = sa.column(moments.open_while_null).is_(None)
    elif moments.open_until:
        still_open = columns[moments.open_until] > before
    rows = session.execute(sa.select(key, *(columns[name] for name in moments.columns)).where(still_open)).all()
    if not rows:
        return 0
    if moments.leased:
        epoch = sa.column("lease_epoch", sa.Integer())
        leases = sa.table(moments.table, epoch, sa.column("lease_until", Timestamp()))
        session.execute(sa.update(leases).where(still_open).values(lease_until=None, lease_epoch=epoch + 1))
    for row in rows:
        values = {name: value + by for name, value in zip(moments.columns, row[1:], strict=True) if value is not None}
        session.execute(sa.update(table).where(key == row[0]).values(values))
    return len(rows)


def _way(by: dt.timedelta) -> str:
    return "forward" if by > dt.timedelta() else "back"
