"""The layout that is shipped: the whole data directory on one disk, which is full while parts die, and then breaks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pxeapp.boot import loaders
from tests.storage.appliance import Broken, until
from tests.storage.disks import Disk

pytestmark = [pytest.mark.network, pytest.mark.soak]
ASKED = 200  # each touches what the web workers share


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    folder = tmp_path_factory.mktemp("shipped")
    disk = Disk(folder)
    found = Broken(folder / "appliance", disk, whole=True)
    try:
        found.set_up()
        before = found.process
        yield found
        assert before is not None
        assert before.poll() is None
    finally:
        found.stop()
        disk.take_away()
    log = found.log.read_text()
    assert "SIGBUS" not in log, log
    assert "Traceback" not in log, log


def part(appliance: Broken, name: str) -> int | None:
    """The process of a part that `serve` has started."""
    assert appliance.process is not None
    children = Path(f"/proc/{appliance.process.pid}/task/{appliance.process.pid}/children").read_text()
    for pid in map(int, children.split()):
        if f"pxeapp\0{name}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def is_answered_without_a_token(appliance: Broken) -> None:
    answers = [requests.get(f"{appliance.url}/api/v1/machines", timeout=60).status_code for _ in range(ASKED)]
    assert set(answers) <= {401, 429}


def test_on_a_full_disk_nobody_ends_and_one_that_is_killed_is_started_again(shipped: Broken) -> None:
    shipped.disk.fill()
    shipped.refused()
    is_answered_without_a_token(shipped)
    for name in ("tftp", "worker"):
        killed = part(shipped, name)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        until(lambda killed=killed, name=name: part(shipped, name) not in (None, killed))
    loader = next(iter(loaders.find()))
    until(lambda: shipped.tftp_reply(loader, within_s=2.0)[:2] == b"\0\3")  # the first block of a file
    shipped.disk.empty()
    shipped.works()


def test_a_disk_that_breaks_down_ends_no_web_worker(shipped: Broken) -> None:
    shipped.disk.break_down()
    shipped.refused()
    is_answered_without_a_token(shipped)
