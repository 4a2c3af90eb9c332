"""Carrying out orders to BMCs: claim a row under a lease, ask, keep what was said. Only the BMC worker does this.

One BMC is asked one thing at a time: an order waits for the one before it and for a power action, and a power action
waits for an order that a worker has in hand.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from pxeapp.bmc import orders
from pxeapp.bmc.connect import Connector
from pxeapp.bmc.errors import BmcError, BootDeviceIgnored
from pxeapp.bmc.models import BmcOrder
from pxeapp.bmc.ports import BootOverride, Identify, Sel, Sensors, Who
from pxeapp.bmc.readings import Override, worst
from pxeapp.commits import GroupCommit
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines import timeline
from pxeapp.machines.models import Bmc

Keep = Callable[[Session, dt.datetime], None]  # writes what was said, in the transaction that ends the order
CANDIDATES = 200
TOO_LATE = "Its time was over before it could be asked. Check that `pxeapp bmc-worker` runs; then ask again."


class Asked(NamedTuple):
    """An order that this process holds."""

    order_id: int
    machine_id: int
    epoch: int


class CannotDo(BmcError):
    """This kind of BMC has no such capability."""

    code = "cannot"

    def __init__(self, what: str) -> None:
        super().__init__(f"We cannot {what} on a BMC of this type.")


class LogChanged(BmcError):
    """An event came in between; clearing would have lost it."""

    code = "changed"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Its event log was added to meanwhile and was not cleared.", hint="Clear it again.")


class NoAnswerToCommand(BmcError):
    """The command left and no answer came."""

    code = "unconfirmed"
    retryable = True

    def __init__(self, what: str) -> None:
        super().__init__(
            f"No answer came when it was told to {what}.", hint="Look at what it says now; then repeat it."
        )


@dataclass(frozen=True, slots=True)
class Asker:
    """Does the orders of one worker process."""

    database: Database
    connector: Connector
    commits: GroupCommit
    owner: str
    clock: Callable[[], dt.datetime]

    def claim(self, *, limit: int) -> list[Asked]:
        """Take due orders whose BMC nobody talks to, one for each machine; and end those whose time is over."""
        now = self.clock()
        until = BmcOrder.lease_until
        free = or_(until.is_(None), until <= now, until > now + 2 * orders.LEASE)
        open_ = BmcOrder.finished_at.is_(None)
        with self.database.read() as session:
            due = (
                select(BmcOrder.id, BmcOrder.machine_id, BmcOrder.deadline)
                .where(open_, BmcOrder.due_at <= now, free)
                .order_by(BmcOrder.due_at, BmcOrder.id)
                .limit(CANDIDATES)
            )
            waiting = session.execute(due).all()
        if not waiting:
            return []
        late = [row.id for row in waiting if row.deadline <= now]
        first: dict[int, int] = {}
        for row in waiting:
            if row.id not in late:
                first.setdefault(row.machine_id, row.id)
        calm = ~orders.being_switched(BmcOrder.machine_id) & ~orders.being_asked(BmcOrder.machine_id, now)

        def take(session: Session) -> list[Asked]:
            if late:
                session.execute(
                    update(BmcOrder)
                    .where(BmcOrder.id.in_(late), open_, free)
                    .values(
                        outcome="failed", error_code="too_late", error=TOO_LATE, finished_at=now, lease_until=None,
                        lease_epoch=BmcOrder.lease_epoch + 1,
                    )
                    .execution_options(synchronize_session=False)
                )  # fmt: skip
            rows = session.execute(
                update(BmcOrder)
                .where(BmcOrder.id.in_(list(first.values())[:limit]), open_, free, calm)
                .values(
                    lease_owner=self.owner, lease_until=now + orders.LEASE, lease_epoch=BmcOrder.lease_epoch + 1
                )
                .returning(BmcOrder.id, BmcOrder.machine_id, BmcOrder.lease_epoch)
                .execution_options(synchronize_session=False)
            )  # fmt: skip
            return [Asked(*row) for row in rows]

        return self.commits.write(take)

    def carry_out(self, asked: Asked) -> None:
        """Ask the BMC and keep the answer, or why there is none."""
        with self.database.read() as session:
            order = session.get(BmcOrder, asked.order_id)
            bmc = session.scalar(select(Bmc).where(Bmc.machine_id == asked.machine_id))
            if order is None or bmc is None:
                return  # the machine, or its BMC, was taken out of our records
            session.expunge_all()
        try:
            driver: Any = self.connector.driver(bmc)
            try:
                does = DOES[order.kind]
                if not isinstance(driver, does.port):
                    raise CannotDo(does.words)
                keep = does.work(self, driver, order)
            finally:
                driver.close()
        except PxeError as trouble:
            self._end(asked, order, error=trouble)
        else:
            self._end(asked, order, keep=keep)

    def store_log(self, machine_id: int, driver: Sel) -> Keep:
        """Read the whole log, and what is to be kept of it."""
        log = driver.event_log()

        def keep(session: Session, now: dt.datetime) -> None:
            new = orders.keep_log(session, machine_id, log, now=now)
            said = {
                "entries": len(log.entries), "new": new, "capacity_left": log.capacity_left,
                "overflowed": log.overflowed, "health": worst([entry.severity for entry in log.entries]),
            }  # fmt: skip
            orders.keep(session, machine_id, "sel", said, now=now)

        return keep

    def clear_log(self, driver: Sel, order: BmcOrder) -> Keep:
        """Read, store and commit, then empty; whatever is cleared is in our table for good."""
        log = driver.event_log()

        def store(session: Session) -> None:
            orders.keep_log(session, order.machine_id, log, now=self.clock())

        self.commits.write(store)
        if not driver.clear_event_log(log):
            raise LogChanged
        left = {"entries": 0, "new": 0, "capacity_left": None, "overflowed": False, "health": None}
        told = f"Its event log was cleared; its {len(log.entries)} entries are kept here."
        return _keeps(order, "sel", left, told)

    def _end(self, asked: Asked, order: BmcOrder, *, keep: Keep | None = None, error: PxeError | None = None) -> None:
        now = self.clock()

        def close(session: Session) -> None:
            values: dict[str, Any] = {"finished_at": now, "lease_until": None, "outcome": "done"}
            if error is not None:
                code = error.code if isinstance(error, BmcError) else "unusable"
                values |= {"outcome": "failed", "error_code": code, "error": str(error)}
            ours = session.execute(
                update(BmcOrder)
                .where(
                    BmcOrder.id == asked.order_id,
                    BmcOrder.finished_at.is_(None),
                    BmcOrder.lease_owner == self.owner,
                    BmcOrder.lease_epoch == asked.epoch,
                )
                .values(**values)
                .returning(BmcOrder.id)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            if ours is None:
                return  # another worker has it, or its machine is gone
            if keep is not None:
                keep(session, now)
            elif error is not None and orders.KINDS[order.kind].changes:
                _note(session, order, now, f"Could not {orders.KINDS[order.kind].words}: {error.sentence}")
            session.execute(
                update(BmcOrder)
                .where(BmcOrder.machine_id == asked.machine_id, BmcOrder.finished_at.is_(None))
                .values(due_at=now + orders.SPACING)
                .execution_options(synchronize_session=False)
            )
            orders.forget_old(session, asked.machine_id)

        self.commits.write(close)


def _note(session: Session, order: BmcOrder, now: dt.datetime, message: str) -> None:
    timeline.note(
        session, machine_id=order.machine_id, at=now, source="bmc", kind="bmc", message=message,
        order=order.id, by=order.requested_by,
    )  # fmt: skip


def _keeps(order: BmcOrder, kind: str, value: dict[str, Any], told: str = "") -> Keep:
    def keep(session: Session, now: dt.datetime) -> None:
        orders.keep(session, order.machine_id, kind, value, now=now)
        if told:
            _note(session, order, now, told)

    return keep


def _sensors(_: Asker, driver: Sensors, order: BmcOrder) -> Keep:
    found = driver.sensors()
    health = worst([each.health for each in found])
    return _keeps(order, "sensors", {"items": [each.to_dict() for each in found], "health": health})


def _sel(asker: Asker, driver: Sel, order: BmcOrder) -> Keep:
    return asker.store_log(order.machine_id, driver)


def _clear_sel(asker: Asker, driver: Sel, order: BmcOrder) -> Keep:
    return asker.clear_log(driver, order)


def _boot_device(_: Asker, driver: BootOverride, order: BmcOrder) -> Keep:
    return _keeps(order, "boot_device", _said(driver.override()))


def _set_boot_device(_: Asker, driver: BootOverride, order: BmcOrder) -> Keep:
    wanted = Override(**order.argument)
    if not driver.set_override(wanted):
        raise NoAnswerToCommand(f"boot from {wanted.device}")
    seen = driver.override()
    if seen is not None and seen.device == "none":
        seen = None if wanted.device != "none" else seen  # what cannot be read back reads as not set, as a rule
    if seen is not None and seen.device != wanted.device:
        raise BootDeviceIgnored(wanted.device, seen.device)
    how = "for every boot" if wanted.persistent else "for the next boot"
    checked = "it reads back" if seen is not None else "this BMC cannot read it back"
    return _keeps(
        order, "boot_device", _said(seen or wanted, confirmed=seen is not None),
        f"The boot device was set to {wanted.device} {how}; {checked}.",
    )  # fmt: skip


def _said(seen: Override | None, *, confirmed: bool = True) -> dict[str, Any]:
    empty = {"device": None, "persistent": False, "uefi": False}
    return {**(seen.to_dict() if seen else empty), "confirmed": confirmed}


def _identity(_: Asker, driver: Who, order: BmcOrder) -> Keep:
    return _keeps(order, "identity", driver.identity().to_dict())


def _identify(_: Asker, driver: Identify, order: BmcOrder) -> Keep:
    seconds = int(order.argument.get("seconds", 15))
    driver.identify(seconds)

    def keep(session: Session, now: dt.datetime) -> None:
        _note(session, order, now, f"Its light blinks for {seconds} s." if seconds else "Its light was put out.")

    return keep


class Does(NamedTuple):
    """How an order is carried out: by a driver with this port; of one without it we say that we cannot do this."""

    port: type[Any]
    words: str
    work: Callable[[Asker, Any, BmcOrder], Keep]


DOES = {
    "sensors": Does(Sensors, "read sensors", _sensors),
    "sel": Does(Sel, "read an event log", _sel),
    "clear_sel": Does(Sel, "clear an event log", _clear_sel),
    "boot_device": Does(BootOverride, "read the boot device", _boot_device),
    "set_boot_device": Does(BootOverride, "set the boot device", _set_boot_device),
    "identity": Does(Who, "read who it is", _identity),
    "identify": Does(Identify, "blink a light", _identify),
}
