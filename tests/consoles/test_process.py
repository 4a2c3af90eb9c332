"""`pxeapp console` as it really runs: killed without a warning, it is back, and so is the recording."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pxeapp.bmc.connect import FAKE_FOLDER
from pxeapp.bmc.fake import FakeBmc
from pxeapp.consoles import door, recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.provisioning.models import Deployment
from tests.consoles.conftest import Desk, wait_until

pytestmark = pytest.mark.network


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_killed_without_a_warning_it_is_back_with_the_same_recording(desk: Desk) -> None:
    desk.end()
    with desk.database.write() as session:
        session.add(
            Deployment(
                machine_id=desk.machine_id, attempt=1, release="debian-13", role="base", requested_by="user:ada",
                requested_at=now(), step_since=now(), step_deadline=now(), deadline=now(), due_at=now(),
                admitted_at=now(),
            )
        )  # fmt: skip
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")}
    environ |= {"PXEAPP_DATA_DIR": str(desk.settings.data_dir), "PXEAPP_DATABASE_URL": desk.settings.database_url}
    process = subprocess.Popen([sys.executable, "-m", "pxeapp", "console"], env=environ, start_new_session=True)
    fake = FakeBmc(desk.settings.data_dir / FAKE_FOLDER, "node1")

    def state() -> str:
        try:
            return str(door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"])
        except PxeError:
            return "away"

    try:
        wait_until(lambda: state() == "open", seconds=120, what="the recording's console")
        fake.says(b"before the kill\r\n")
        path = recordings.path_of(desk.settings.data_dir, 1)
        wait_until(lambda: path.exists() and b"before the kill" in path.read_bytes(), what="its words")
        (worker,) = children(process.pid)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: children(process.pid) not in ([], [worker]), seconds=60, what="its successor")
        wait_until(lambda: state() == "open", seconds=120, what="the console again")
        fake.says(b"after the kill\r\n")
        wait_until(lambda: b"after the kill" in path.read_bytes(), what="its words")
        assert "".join(text for _, text in recordings.events(path)) == "before the kill\r\nafter the kill\r\n"
        with desk.database.read() as session:
            assert session.query(ConsoleRecording).count() == 1
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        desk.restart_after_end()
