"""What a BMC can be asked besides its power: readings, its event log, its boot device, its light.

An order is a row, as a power action is; bmc/asking.py carries it out in the BMC worker. Everything here may be done
twice without harm: readings change nothing, a boot device and a light are set to a value, and an event log is only
emptied under a reservation after all of it was stored.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from pxeapp import audit
from pxeapp.appliance import observing
from pxeapp.bmc.models import BmcFact, BmcOrder, PowerAction, SelEntry
from pxeapp.bmc.readings import EventLog, Override
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.machines.models import Machine

Kind = Literal["sensors", "sel", "boot_device", "identity", "set_boot_device", "clear_sel", "identify"]
SPACING = dt.timedelta(seconds=1)  # between two orders to one BMC: most are slow, and busy with the machine itself
TIME = dt.timedelta(minutes=3)  # an order that could not be carried out by then is given up
LEASE = dt.timedelta(seconds=100)  # longer than any reading; after a crash the order is taken up again
KEPT_ORDERS = 50  # finished ones, a machine
KEPT_ENTRIES = 5_000  # of the event log, a machine


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an order of a kind is, in the words of the timeline and the audit; `changes`: it is not only a question."""

    words: str
    changes: bool = False


KINDS: dict[str, Meaning] = {
    "sensors": Meaning("read the sensors"),
    "sel": Meaning("read the event log"),
    "boot_device": Meaning("read the boot device"),
    "identity": Meaning("read who the BMC is"),
    "set_boot_device": Meaning("set the boot device", changes=True),
    "clear_sel": Meaning("clear the event log", changes=True),
    "identify": Meaning("blink the light", changes=True),
}


def request(
    session: Session,
    *,
    machine_id: int,
    kind: Kind,
    requested_by: str,
    now: dt.datetime,
    argument: dict[str, Any] | None = None,
) -> BmcOrder:
    """Order one; the BMC worker carries it out. A question that already waits is not asked a second time.

    Raises Conflict without a BMC, while the same change is under way, and for changes while we only observe.
    """
    meaning = KINDS.get(kind)
    if meaning is None:
        raise Invalid(f"{kind!r} is nothing that a BMC can be asked.", hint=f"Use one of {', '.join(KINDS)}.")
    if meaning.changes:
        observing.refuse(session)
    machine = session.scalar(select(Machine).where(Machine.id == machine_id).with_for_update())
    if machine is None or machine.bmc is None:
        raise Conflict("This machine has no BMC in our records.", hint="Add one to the machine first.")
    waiting = session.scalar(
        select(BmcOrder).where(BmcOrder.machine_id == machine_id, BmcOrder.kind == kind, BmcOrder.finished_at.is_(None))
    )
    if waiting is not None and not meaning.changes:
        return waiting
    if waiting is not None:
        raise Conflict(f"{machine.name}: {meaning.words} is under way already.", hint="Wait until that has ended.")
    order = BmcOrder(
        machine_id=machine_id,
        kind=kind,
        argument=argument or {},
        requested_by=requested_by,
        requested_at=now,
        due_at=now,
        deadline=now + TIME,
    )
    session.add(order)
    session.flush()
    audit.record(
        session, at=now, actor=requested_by, action=f"bmc.{kind}", subject=machine.name, order=order.id,
        **(argument or {}),
    )  # fmt: skip
    return order


def request_override(
    session: Session, *, machine_id: int, wanted: Override, requested_by: str, now: dt.datetime
) -> BmcOrder:
    """Order a boot device. What a deployment sets for itself is a part of its power action, and goes before."""
    return request(
        session,
        machine_id=machine_id,
        kind="set_boot_device",
        requested_by=requested_by,
        now=now,
        argument=wanted.to_dict(),
    )


def get(session: Session, machine_id: int, number: int) -> BmcOrder:
    """One order of this machine."""
    found = session.scalar(select(BmcOrder).where(BmcOrder.machine_id == machine_id, BmcOrder.id == number))
    if found is None:
        raise NotFound(f"There is no order {number} to this machine's BMC; old ones are forgotten.")
    return found


def latest(session: Session, machine_id: int, *kinds: str) -> BmcOrder | None:
    """The last order of these kinds, finished or not."""
    of_kind = select(BmcOrder).where(BmcOrder.machine_id == machine_id, BmcOrder.kind.in_(kinds))
    return session.scalar(of_kind.order_by(BmcOrder.id.desc()).limit(1))


def latest_of_each(session: Session, machine_id: int) -> dict[str, BmcOrder]:
    """The last order of each kind, finished or not."""
    last = select(func.max(BmcOrder.id)).where(BmcOrder.machine_id == machine_id).group_by(BmcOrder.kind)
    return {row.kind: row for row in session.scalars(select(BmcOrder).where(BmcOrder.id.in_(last)))}


def fact(session: Session, machine_id: int, kind: str) -> BmcFact | None:
    """What was read last, and when."""
    return session.get(BmcFact, (machine_id, kind))


def facts(session: Session, machine_id: int) -> dict[str, BmcFact]:
    """Everything that was read of one machine, by kind."""
    rows = session.scalars(select(BmcFact).where(BmcFact.machine_id == machine_id))
    return {row.kind: row for row in rows}


def keep(session: Session, machine_id: int, kind: str, value: dict[str, Any], *, now: dt.datetime) -> None:
    """Replace what was read before."""
    row = session.get(BmcFact, (machine_id, kind))
    if row is None:
        session.add(BmcFact(machine_id=machine_id, kind=kind, seen_at=now, value=value))
    else:
        row.seen_at, row.value = now, value


def keep_log(session: Session, machine_id: int, log: EventLog, *, now: dt.datetime) -> int:
    """Store what is new of an event log; returns how many entries that were."""
    known = set(session.scalars(select(SelEntry.raw).where(SelEntry.machine_id == machine_id)))
    new = {entry.raw.hex(): entry for entry in log.entries if entry.raw.hex() not in known}
    for raw, entry in new.items():
        session.add(
            SelEntry(
                machine_id=machine_id, raw=raw, record=entry.record, at=entry.at, sensor=entry.sensor,
                event=entry.event, severity=entry.severity, asserted=entry.asserted, seen_at=now,
            )
        )  # fmt: skip
    session.flush()
    _forget(session, SelEntry, machine_id, KEPT_ENTRIES)
    return len(new)


def forget_old(session: Session, machine_id: int) -> None:
    """Keep only the last finished orders."""
    _forget(session, BmcOrder, machine_id, KEPT_ORDERS)


def being_asked(machine_id: ColumnElement[int] | InstrumentedAttribute[int], now: dt.datetime) -> ColumnElement[bool]:
    """Whether a worker is talking to this machine's BMC for an order: nobody else may, meanwhile."""
    other = aliased(BmcOrder)
    return exists().where(
        other.machine_id == machine_id,
        other.finished_at.is_(None),
        other.lease_until > now,
        other.lease_until <= now + 2 * LEASE,  # one further away was taken before the clock was set back
    )


def being_switched(machine_id: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Whether a power action is under way, which goes before everything."""
    return exists().where(PowerAction.machine_id == machine_id, PowerAction.finished_at.is_(None))


def _forget(session: Session, table: type[BmcOrder | SelEntry], machine_id: int, kept: int) -> None:
    count = session.scalar(select(func.count()).select_from(table).where(table.machine_id == machine_id)) or 0
    if count <= kept:
        return
    oldest = (
        select(table.id).where(table.machine_id == machine_id).order_by(table.id.desc()).offset(kept).limit(1)
    ).scalar_subquery()
    old = delete(table).where(table.machine_id == machine_id, table.id <= oldest)
    if table is BmcOrder:
        old = old.where(BmcOrder.finished_at.is_not(None))
    session.execute(old.execution_options(synchronize_session=False))
