"""The whole running appliance, whose database's disk fills up, is locked, is taken away and breaks down.

Operators get a problem document, machines one plain line, both 503 and may come again; what was answered with 200 is
there afterwards and nothing else; no process has to be restarted, no log has a traceback.
"""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from pxeapp.db import Database
from pxeapp.machines.models import Event
from pxeapp.provisioning import tokens
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from pxeapp.storage.sqlite import COMPANIONS, SqliteFile
from pxeapp.vault import open_vault
from tests.loopback import RELEASE, LoopbackAppliance
from tests.storage.disks import Disk
from tests.sweep import size

pytestmark = [pytest.mark.network, pytest.mark.soak]
RECOVERS_S = 60.0


class Broken(LoopbackAppliance):
    """An appliance whose database and queue lie on a disk that breaks, and one machine that is being installed."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.disk = disk
        self.path = disk.place / "pxeapp.db"
        super().__init__(folder, database_url=f"sqlite:///{self.path}", queue_url=f"sqlite:///{disk.place}/queue.db")
        self.token = ""
        self.callback = ""

    def set_up(self) -> None:
        """Serve, and have node1 wait for what its installer says."""
        self.start()
        self.add_release()
        self.token = self.command("token", "create", "--role", "admin", "--name", "storage").strip()
        self.deploy(1)
        with self.reading() as database, database.read() as session:
            row = session.scalars(select(Deployment)).one()
            secret = tokens.derive(open_vault(self.folder / "data"), row, tokens.CALLBACK)
        self.callback = f"http://127.0.0.1:{self.node}/c/{secret}/events"
        assert self.report("started").status_code == 200

    def deploy(self, number: int) -> None:
        """Register and deploy a machine without a BMC, and wait until the worker has armed it."""
        name = f"node{number}"
        made = {"name": name, "mac": f"52:54:00:00:00:{number:02x}", "role": "compute", "release": RELEASE}
        assert self.ask("POST", "/machines", json=made).status_code == 201
        assert self.ask("POST", f"/machines/{name}/deploy", json={}).status_code == 202
        until(lambda: self.ask("GET", f"/deployments?machine={name}").json()["items"][0]["step"] != Step.REQUESTED)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(
            method, f"{self.url}/api/v1{path}", headers={"Authorization": f"Bearer {self.token}"}, timeout=60, **more
        )

    def report(self, event: str, message: str = "") -> requests.Response:
        return requests.post(self.callback, json={"event": event, "message": message}, timeout=60)

    def tftp_reply(self, name: str) -> bytes:
        """The first packet that comes back."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(30)
            client.sendto(b"\x00\x01" + name.encode() + b"\x00octet\x00", ("127.0.0.1", self.tftp))
            return client.recv(2048)

    def reading(self) -> Any:
        database = Database(f"sqlite:///{self.path}")
        return closing(_Closing(database))

    def said(self) -> set[str]:
        """The first words of everything that the installer reported and that was kept."""
        with self.reading() as database, database.read() as session:
            kept = session.scalars(select(Event.message).where(Event.kind == "progress"))
            return {message.split()[0] for message in kept}

    def refused(self) -> None:
        """Both sides say so as they should."""
        # More than one try each: on a full disk the log is used over and over, and what is small still finds room.
        machines = _first_503(lambda number: self.report("progress", f"lost-{number} {'x' * 3900}"))
        assert machines.headers["Retry-After"]
        assert machines.headers["Content-Type"].startswith("text/plain")
        assert machines.text.count("\n") == 1
        assert str(self.path) not in machines.text
        change = {"vars": {"site_filler": "x" * 30_000}}
        operators = _first_503(lambda number: self.ask("PATCH", f"/machines/node1?try={number}", json=change))
        assert operators.headers["Content-Type"] == "application/problem+json"
        assert operators.headers["Retry-After"]
        assert operators.json()["hint"]

    def works(self) -> None:
        """All parts do their work again, without a restart: callbacks, API, and a worker that arms a new order."""
        until(lambda: self.report("progress", f"again-{time.monotonic_ns()} x").status_code == 200)
        until(lambda: self.ask("PATCH", "/machines/node1", json={"labels": {"rack": "r1"}}).status_code == 200)
        self.deploy(1 + len(self.ask("GET", "/machines").json()["items"]))
        assert requests.get(f"{self.url}/readyz", timeout=60).status_code == 200
        assert not SqliteFile(self.path).whole()


class _Closing(Database):
    def __init__(self, database: Database) -> None:
        super().__init__(database.url)

    def close(self) -> None:
        self.dispose()


def _first_503(ask: Callable[[int], requests.Response]) -> requests.Response:
    for number in range(100):
        reply = ask(number)
        assert reply.status_code in (200, 503), reply.text
        if reply.status_code == 503:
            return reply
    pytest.fail("nobody was refused")


def until(true: Callable[[], bool], within_s: float = RECOVERS_S) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come back within a minute"
        time.sleep(0.2)


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
