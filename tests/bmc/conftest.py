"""A machine with a fake BMC and a carrier whose clock the test moves; and a rack that real workers serve."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pxeapp import config
from pxeapp.bmc import power
from pxeapp.bmc.connect import FAKE_FOLDER, Connector
from pxeapp.bmc.fake import FakeBmc
from pxeapp.bmc.hands import Carrier, Hand
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.watchdog import Watchdog
from pxeapp.db import Database
from pxeapp.machines.models import Bmc, Machine
from pxeapp.vault import open_vault
from tests.bmc.rack import CHILD, Rack, Site, watched

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
MAC = "52:54:00:00:00:01"


@dataclass
class Clock:
    """Time that passes when the test says so."""

    now: dt.datetime = T0

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


@dataclass
class Bench:
    """Everything a power test touches."""

    database: Database
    connector: Connector
    clock: Clock
    fake: FakeBmc
    machine_id: int

    def order(self, goal: power.Goal) -> int:
        with self.database.write() as session:
            action = power.request(
                session, machine_id=self.machine_id, goal=goal, requested_by="user:ada", now=self.clock()
            )
            return action.id

    def action(self, action_id: int) -> PowerAction:
        with self.database.read() as session:
            return session.get_one(PowerAction, action_id)

    def carrier(self, owner: str = "worker:1") -> Carrier:
        return Carrier(self.database, self.connector, owner, self.clock)

    def finish(self, action_id: int, *, carrier: Carrier | None = None) -> PowerAction:
        """Work on everything until the action ends; a minute of patience more than its deadline."""
        carrier = carrier or self.carrier()
        hands: list[Hand] = []
        for _ in range(2000):
            hands += carrier.claim(limit=10)
            hands = [hand for hand in hands if hand.next_at > self.clock() or carrier.step(hand)]
            carrier.renew(hands)
            if self.action(action_id).outcome is not None:
                return self.action(action_id)
            self.clock.pass_(1)
        raise AssertionError("the action never ended")

    def after_crash(self) -> None:
        """The worker died; its lease has to run out first."""
        self.clock.pass_(power.PowerTimings().lease.total_seconds() + 1)

    def commands(self) -> list[str]:
        return [entry["command"] for entry in self.fake.received()]


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Bench:
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path)})
    with database.write() as session:
        machine = Machine(name="node1", mac=MAC, created_at=T0, updated_at=T0)
        machine.bmc = Bmc(type="fake", address="node1")
        session.add(machine)
        session.flush()
        machine_id = machine.id
    connector = Connector(settings, open_vault(tmp_path))
    return Bench(database, connector, Clock(), FakeBmc(tmp_path / FAKE_FOLDER, "node1"), machine_id)


@pytest.fixture
def site(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """No worker yet; whichever is started finds this database."""
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PXEAPP_DATABASE_URL", database.url)
    open_vault(tmp_path)
    return Site(database, tmp_path)


@pytest.fixture
def rack(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rack]:
    """Two workers in a hurry under an impatient watchdog."""
    monkeypatch.setattr("pxeapp.bmc.watchdog.BACKOFF_S", (0.05, 0.2))
    monkeypatch.setattr("pxeapp.bmc.watchdog.FIRST_BEAT_S", 20.0)
    watchdog = Watchdog(2, CHILD, missed_s=3.0)
    with watched(watchdog):
        yield Rack(site.database, site.data_dir, watchdog)
