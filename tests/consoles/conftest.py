"""A console process beside the test, over a machine with a fake BMC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pxeapp import config
from pxeapp.bmc.connect import FAKE_FOLDER
from pxeapp.bmc.fake import FakeBmc
from pxeapp.config import Settings
from pxeapp.consoles.holder import Holder
from pxeapp.db import Database, now
from pxeapp.machines.models import Bmc, Machine
from pxeapp.vault import open_vault


@dataclass
class Desk:
    """The settings that everybody shares, a machine, and the console process's thread."""

    settings: Settings
    database: Database
    machine_id: int
    fake: FakeBmc
    holder: Holder

    def restart(self) -> None:
        self.end()
        self.restart_after_end()

    def restart_after_end(self) -> None:
        self.holder = Holder(self.settings)
        self.begin()

    def begin(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.holder.run, args=(self._stop,))
        self._thread.start()
        wait_until(lambda: (self.settings.run_dir / "console.sock").exists(), what="the console process")

    def end(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.holder.database.dispose()


def wait_until(there: Callable[[], object], *, seconds: float = 20.0, what: str) -> None:
    """Wait for something to come true; fails the test when it does not."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path), "PXEAPP_DATABASE_URL": database.url})
    open_vault(tmp_path)
    with database.write() as session:
        machine = Machine(name="node1", mac="52:54:00:00:00:01", created_at=now(), updated_at=now())
        machine.bmc = Bmc(type="fake", address="node1")
        session.add(machine)
        session.flush()
        machine_id = machine.id
    found = Desk(settings, database, machine_id, FakeBmc(tmp_path / FAKE_FOLDER, "node1"), Holder(settings))
    found.begin()
    yield found
    found.end()
