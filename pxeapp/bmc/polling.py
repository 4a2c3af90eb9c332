"""The rack's power as it is now: every BMC is asked once a minute, spread out, never during an action.

BMCs that did not answer last time are asked in a lane of their own: a dead one holds a thread for some seconds, and a
rack whose management switch is down would otherwise hold them all. One that refuses our password is left alone for half
an hour, or until the password is corrected: most lock an account after a few wrong ones.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from pxeapp.bmc import orders, power
from pxeapp.bmc.connect import Connector, Login, login_of
from pxeapp.bmc.errors import BmcWrongPassword
from pxeapp.bmc.ports import PowerState
from pxeapp.commits import GroupCommit
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines.models import Bmc, Machine

EVERY = dt.timedelta(seconds=60)
REFUSED_EVERY = dt.timedelta(minutes=30)
Health = Literal["well", "sick"]
SICK: ColumnElement[bool] = and_(Machine.power == "unknown", Machine.power_seen_at.is_not(None))
HEALTH: dict[Health, ColumnElement[bool]] = {"well": ~SICK, "sick": SICK}


@dataclass(frozen=True, slots=True)
class Poller:
    """Reads power states; knows no commands."""

    database: Database
    connector: Connector
    commits: GroupCommit
    _refused: dict[int, tuple[Login, dt.datetime]] = field(default_factory=dict, repr=False)

    def claim(self, health: Health, *, now: dt.datetime, limit: int) -> list[int]:
        """Machines whose power was not looked at for a while; taking one marks it, so that nobody else does."""
        # A look that lies in the future was taken before the clock was set back.
        seen = Machine.power_seen_at
        stale = or_(seen.is_(None), seen <= now - EVERY, seen > now + EVERY)
        has_bmc = exists().where(Bmc.machine_id == Machine.id)
        calm = ~orders.being_asked(Machine.id, now)
        with self.database.read() as session:
            due = (
                select(Machine.id)
                .where(has_bmc, stale, HEALTH[health], ~orders.being_switched(Machine.id), calm)
                .order_by(seen)
                .limit(limit)
            )
            waiting = session.scalars(due).all()
        if not waiting:
            return []

        def take(session: Session) -> list[int]:
            taken = session.scalars(
                update(Machine)
                .where(Machine.id.in_(waiting), stale)
                .values(power_seen_at=now)
                .returning(Machine.id)
                .execution_options(synchronize_session=False)
            )
            return list(taken)

        return self.commits.write(take)

    def look(self, machine_id: int, *, now: dt.datetime) -> PowerState:
        """Ask one BMC; one that does not answer, or cannot be asked, makes the power unknown. Returns what was seen."""
        with self.database.read() as session:
            bmc = session.scalar(select(Bmc).where(Bmc.machine_id == machine_id))
            before = session.scalar(select(Machine.power).where(Machine.id == machine_id))
        state = self._ask(bmc, now) if bmc is not None else "unknown"
        if state != before:

            def keep(session: Session) -> None:
                switched = orders.being_switched(Machine.id)
                if not session.scalar(select(Machine.id).where(Machine.id == machine_id, switched)):
                    power.observed(session, machine_id, state, now=now)  # an action that began meanwhile knows better

            self.commits.write(keep)
        return state

    def _ask(self, bmc: Bmc, now: dt.datetime) -> PowerState:
        login = login_of(bmc)
        refused, since = self._refused.pop(bmc.machine_id, (None, now))
        if refused == login and abs(now - since) < REFUSED_EVERY:
            self._refused[bmc.machine_id] = (login, since)
            return "unknown"
        try:
            driver = self.connector.driver(bmc)
            try:
                return driver.power_state()
            finally:
                driver.close()
        except BmcWrongPassword:
            self._refused[bmc.machine_id] = (login, now)
            return "unknown"
        except PxeError:  # every BmcError is one; so is an address that is not allowed, or a key that does not fit
            return "unknown"
