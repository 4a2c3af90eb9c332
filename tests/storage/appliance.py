"""A whole running appliance on a disk that breaks: what it is asked, and how it says that it cannot."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
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
from pxeapp.storage.sqlite import SqliteFile
from pxeapp.vault import open_vault
from tests.loopback import RELEASE, LoopbackAppliance
from tests.storage.disks import Disk

RECOVERS_S = 60.0


class Broken(LoopbackAppliance):
    """One machine is being installed; the data directory lies on a disk that breaks, or only database and queue do."""

    def __init__(self, folder: Path, disk: Disk, *, whole: bool = False) -> None:
        self.disk = disk
        place = disk.place / "data" if whole else disk.place
        self.path = place / "pxeapp.db"
        apart = {"database_url": f"sqlite:///{self.path}", "queue_url": f"sqlite:///{place}/queue.db"}
        super().__init__(folder, **({"data_dir": str(place)} if whole else apart))
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
            secret = tokens.derive(open_vault(self.settings.data_dir), row, tokens.CALLBACK)
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

    def tftp_reply(self, name: str, within_s: float = 30.0) -> bytes:
        """The first packet that comes back; empty where none does."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(within_s)
            client.sendto(b"\x00\x01" + name.encode() + b"\x00octet\x00", ("127.0.0.1", self.tftp))
            with contextlib.suppress(TimeoutError):
                return client.recv(2048)
        return b""

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
        machines = first_503(lambda number: self.report("progress", f"lost-{number} {'x' * 3900}"))
        assert machines.headers["Retry-After"]
        assert machines.headers["Content-Type"].startswith("text/plain")
        assert machines.text.count("\n") == 1
        assert str(self.path) not in machines.text
        change = {"vars": {"site_filler": "x" * 30_000}}
        operators = first_503(lambda number: self.ask("PATCH", f"/machines/node1?try={number}", json=change))
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


def first_503(ask: Callable[[int], requests.Response]) -> requests.Response:
    """Asked again and again: what is small finds room for a while."""
    for number in range(100):
        reply = ask(number)
        assert reply.status_code in (200, 503), reply.text
        if reply.status_code == 503:
            return reply
    pytest.fail("nobody was refused")


def until(true: Callable[[], bool], within_s: float = RECOVERS_S) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come back within a minute"
        time.sleep(0.2)
