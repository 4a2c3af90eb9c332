"""Machines whose BMCs are fakes, ipmi_sim or the simulated fleet, and real worker processes that serve them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from pxeapp.bmc import power
from pxeapp.bmc.connect import FAKE_FOLDER
from pxeapp.bmc.fake import FakeBmc
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.power import PowerTimings
from pxeapp.bmc.watchdog import Watchdog
from pxeapp.db import Database, now
from pxeapp.lab.fleet.bmcs import SimulatedBmc
from pxeapp.machines.models import Bmc, Machine
from pxeapp.vault import open_vault

CHILD = (sys.executable, "-m", "tests.bmc.child")
USER, PASSWORD = "admin", "secret"


@dataclass
class Site:
    """A database with machines; workers find it through the environment."""

    database: Database
    data_dir: Path

    def machine(self, number: int, **bmc: object) -> int:
        with self.database.write() as session:
            machine = Machine(name=f"n{number}", mac=f"52:54:00:00:01:{number:02x}", created_at=now(), updated_at=now())
            machine.bmc = Bmc(**{"type": "fake", "address": f"n{number}", **bmc})
            session.add(machine)
            session.flush()
            return machine.id

    def behind(self, number: int, bmc: SimulatedBmc, *, suite: int | None = None) -> int:
        """A machine whose BMC is one of the simulated fleet."""
        password = open_vault(self.data_dir).encrypt(PASSWORD)
        return self.machine(
            number, type="ipmi", address=bmc.address, port=bmc.port, username=USER, password_encrypted=password,
            cipher_suite=suite,
        )  # fmt: skip

    def fake(self, number: int) -> FakeBmc:
        return FakeBmc(self.data_dir / FAKE_FOLDER, f"n{number}")

    def order(self, machine_id: int, goal: power.Goal, *, timings: PowerTimings | None = None) -> int:
        with self.database.write() as session:
            order = power.request(
                session, machine_id=machine_id, goal=goal, requested_by="user:ada", now=now(), timings=timings
            )
            return order.id

    def action(self, action_id: int) -> PowerAction:
        with self.database.read() as session:
            return session.get_one(PowerAction, action_id)

    def ended(self, *action_ids: int) -> bool:
        return all(self.action(action_id).outcome is not None for action_id in action_ids)

    def power_of(self, machine_id: int) -> str:
        with self.database.read() as session:
            return session.scalars(select(Machine.power).where(Machine.id == machine_id)).one()


@dataclass
class Rack(Site):
    """A site and the watchdog that keeps its workers alive."""

    watchdog: Watchdog


@contextmanager
def watched(watchdog: Watchdog) -> Iterator[None]:
    """The watchdog runs; at the end it and all its workers are gone."""
    stop = threading.Event()
    runner = threading.Thread(target=watchdog.run, args=(stop,))
    runner.start()
    try:
        yield
    finally:
        stop.set()
        runner.join(30)
    assert not runner.is_alive()
    assert watchdog.pids == []


class Worker:
    """One worker process without a watchdog, for tests that freeze it longer than a watchdog would bear."""

    def __init__(self, command: Sequence[str] = CHILD) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self.process = subprocess.Popen([*command, "--beat", str(writer)], pass_fds=[writer])
        os.close(writer)

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._reader)
