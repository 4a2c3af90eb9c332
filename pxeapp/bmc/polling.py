"""The rack's power as it is now: every BMC is asked once a minute, spread out, never during an action."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import exists, or_, select, update

from pxeapp.bmc import power
from pxeapp.bmc.connect import Connector
from pxeapp.bmc.errors import BmcError
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.ports import PowerState
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines.models import Bmc, Machine

EVERY = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Poller:
    """Reads power states; knows no commands."""

    database: Database
    connector: Connector

    def claim(self, *, now: dt.datetime, limit: int) -> list[int]:
        """Machines whose power was not looked at for a while; taking one marks it, so that nobody else does."""
        stale = or_(Machine.power_seen_at.is_(None), Machine.power_seen_at <= now - EVERY)
        busy = exists().where(PowerAction.machine_id == Machine.id, PowerAction.finished_at.is_(None))
        has_bmc = exists().where(Bmc.machine_id == Machine.id)
        with self.database.read() as session:
            due = select(Machine.id).where(has_bmc, stale, ~busy).order_by(Machine.power_seen_at).limit(limit)
            waiting = session.scalars(due).all()
        if not waiting:
            return []
        with self.database.write() as session:
            taken = session.scalars(
                update(Machine)
                .where(Machine.id.in_(waiting), stale)
                .values(power_seen_at=now)
                .returning(Machine.id)
                .execution_options(synchronize_session=False)
            )
            return list(taken)

    def look(self, machine_id: int, *, now: dt.datetime) -> PowerState:
        """Ask one BMC; one that does not answer makes the power unknown. Returns what was seen."""
        with self.database.read() as session:
            bmc = session.scalar(select(Bmc).where(Bmc.machine_id == machine_id))
        if bmc is None:
            return "unknown"
        state: PowerState = "unknown"
        try:
            driver = self.connector.driver(bmc)
            try:
                state = driver.power_state()
            finally:
                driver.close()
        except (BmcError, PxeError):
            state = "unknown"
        with self.database.write() as session:
            running = session.scalar(
                select(PowerAction.id).where(PowerAction.machine_id == machine_id, PowerAction.finished_at.is_(None))
            )
            if running is None:  # an action that began meanwhile knows better
                power.observed(session, machine_id, state, now=now)
        return state
