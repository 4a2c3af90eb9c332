"""A power action's row, read and written past the ORM: a worker walks hundreds, and an ORM costs more than a BMC does.

The rules stay in power.py. Its functions get the row as an object that no session knows, and what they tell the
timeline is collected here; `save` writes it all, if the row is still ours.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import bindparam, select, update

from pxeapp.appliance import observing
from pxeapp.appliance.observing import Observing
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.ports import PowerState
from pxeapp.machines import timeline
from pxeapp.machines.models import Bmc, Event, Machine, Sighting
from pxeapp.prepared import Prepared, Runner

READ = tuple(column.name for column in PowerAction.__table__.columns)
WRITTEN = (
    "phase", "phase_since", "due_at", "command_at", "renewed", "log",
    "outcome", "error_code", "error", "finished_at", "lease_until",
)  # fmt: skip
LOGIN = ("id", "type", "address", "port", "username", "password_encrypted", "cipher_suite", "certificate")

_ROW = Prepared(
    select(*PowerAction.__table__.columns).where(PowerAction.id == bindparam("action_id")).with_for_update()
)
_SAVED = Prepared(
    update(PowerAction)
    .where(
        PowerAction.id == bindparam("its_id"),
        PowerAction.lease_owner == bindparam("its_owner"),
        PowerAction.lease_epoch == bindparam("its_epoch"),
        PowerAction.finished_at.is_(None),
    )
    .values({name: bindparam(name) for name in WRITTEN})
)
_SEEN = Prepared(
    update(Machine)
    .where(Machine.id == bindparam("its_id"))
    .values(power=bindparam("power"), power_seen_at=bindparam("power_seen_at"))
)
_BMC = Prepared(select(*(getattr(Bmc, name) for name in LOGIN)).where(Bmc.machine_id == bindparam("machine_id")))
_ARCH = Prepared(
    select(Sighting.arch).join(Machine, Machine.mac == Sighting.mac).where(Machine.id == bindparam("machine_id"))
)


class Ledger:
    """One transaction's view of one action."""

    def __init__(self, run: Runner) -> None:
        self._run = run
        self._events: list[Event] = []

    def action(self, action_id: int) -> PowerAction | None:
        """The row as it is now, locked where the database can."""
        row = self._run.first(_ROW, action_id=action_id)
        return None if row is None else PowerAction(**dict(zip(READ, row, strict=True)))

    def add(self, event: Any) -> None:
        """Where `timeline.note` leaves its line."""
        self._events.append(event)

    def save(self, action: PowerAction) -> bool:
        """Write the row and its lines; False, and nothing, when it has ended or is another's by now."""
        values = {name: getattr(action, name) for name in WRITTEN}
        whose = {"its_id": action.id, "its_owner": action.lease_owner, "its_epoch": action.lease_epoch}
        if self._run.each(_SAVED, [{**values, **whose}]) != 1:
            return False
        if self._events:
            lines = [{name: getattr(event, name) for name in timeline.COLUMNS} for event in self._events]
            self._run.each(timeline.NOTED, lines)
        return True

    def seen(self, machine_id: int, power: PowerState, at: dt.datetime) -> None:
        """Keep what was seen of a machine's power."""
        self._run.each(_SEEN, [{"its_id": machine_id, "power": power, "power_seen_at": at}])

    def observing(self) -> Observing | None:
        """Whether the appliance only observes now."""
        return observing.present_on(self._run)

    def bmc(self, machine_id: int) -> Bmc | None:
        """How to reach the machine's BMC."""
        row = self._run.first(_BMC, machine_id=machine_id)
        return None if row is None else Bmc(**dict(zip(LOGIN, row, strict=True)))

    def boots_uefi(self, machine_id: int) -> bool:
        """Whether its firmware last netbooted as UEFI; some boards fall back to BIOS boot when the flag says so."""
        row = self._run.first(_ARCH, machine_id=machine_id)
        return bool(row and row[0] and row[0].startswith("uefi"))
