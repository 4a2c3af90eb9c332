"""The whole running appliance, whose database's disk fills up, is locked, is taken away and breaks down.

Operators get a problem document, machines one plain line, both 503 and may come again; what was answered with 200 is
there afterwards and nothing else; no process has to be restarted, no log has a traceback.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests

from pxeapp.storage.sqlite import COMPANIONS
from tests.storage.appliance import Broken
from tests.storage.disks import Disk
from tests.sweep import size

pytestmark = [pytest.mark.network, pytest.mark.soak]


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    folder = tmp_path_factory.mktemp("storage")
    disk = Disk(folder)
    found = Broken(folder / "appliance", disk)
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
    assert "Traceback" not in log, log
    assert "ended with" not in log, log  # the supervisor had to start nothing again


def test_a_locked_database_makes_everybody_wait_and_nobody_fail(appliance: Broken) -> None:
    results: list[int] = []

    def work(number: int) -> None:
        if number % 2:
            results.append(appliance.report("progress", f"locked-{number} x").status_code)
        else:
            change = {"labels": {"waited": str(number)}}
            results.append(appliance.ask("PATCH", "/machines/node1", json=change).status_code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    with closing(sqlite3.connect(appliance.path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        for thread in threads:
            thread.start()
        time.sleep(size(3, 10))
        assert results == []
        assert appliance.ask("GET", "/machines").status_code == 200  # looking needs no lock
        other.execute("ROLLBACK")
    for thread in threads:
        thread.join(60)
    assert results == [200] * 8
    assert {f"locked-{number}" for number in (1, 3, 5, 7)} <= appliance.said()
    appliance.works()


def test_a_full_disk_loses_nothing_that_was_answered_and_takes_the_rest_later(appliance: Broken) -> None:
    appliance.disk.fill()
    accepted, refused = set(), set()
    for number in range(2000):
        status = appliance.report("progress", f"full-{number} {'x' * 3900}").status_code
        assert status in (200, 503)
        (accepted if status == 200 else refused).add(f"full-{number}")
        if len(refused) == 5:
            break
    assert len(refused) == 5
    appliance.refused()
    assert requests.get(f"http://127.0.0.1:{appliance.node}/healthz", timeout=60).status_code == 200
    assert appliance.ask("GET", "/machines").status_code == 200
    appliance.disk.empty()
    appliance.works()
    for late in refused:  # as an installer does, which keeps what it has to say
        assert appliance.report("progress", f"{late} x").status_code == 200
    kept = {message for message in appliance.said() if message.startswith("full-")}
    assert kept == accepted | refused


def test_a_database_that_is_taken_away_is_waited_for_and_not_made_anew(appliance: Broken) -> None:
    away = appliance.path.with_name("away")
    for suffix in ("", *COMPANIONS):
        if (there := appliance.path.with_name(f"{appliance.path.name}{suffix}")).exists():
            there.rename(away.with_name(f"away{suffix}"))
    appliance.refused()
    ready = requests.get(f"{appliance.url}/readyz", timeout=60)
    assert ready.status_code == 503
    assert "there was one" in ready.json()["checks"]["database"]
    reply = appliance.tftp_reply("pxelinux.cfg/01-52-54-00-00-00-01")
    assert reply[:2] == b"\x00\x05"  # an error at once: the machine goes on to its own disk
    assert str(appliance.path).encode() not in reply
    time.sleep(size(2, 30))  # every process comes by
    assert not appliance.path.exists()
    for there in away.parent.glob("away*"):
        there.rename(appliance.path.with_name(there.name.replace("away", appliance.path.name)))
    appliance.works()
    assert any(message.startswith("again-") for message in appliance.said())


def test_a_disk_that_breaks_down_while_it_is_written_keeps_what_was_answered(appliance: Broken) -> None:
    accepted = set()
    for number in range(20):
        assert appliance.report("progress", f"broken-{number} x").status_code == 200
        accepted.add(f"broken-{number}")
    appliance.disk.break_down()
    appliance.refused()
    appliance.disk.mend()
    appliance.works()
    assert accepted == {message for message in appliance.said() if message.startswith("broken-")}
