"""The front as it runs: a real nginx over a migrated database, in this process."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pxeapp import config
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.software.cache import configured, counting, service, statistics
from pxeapp.software.cache.models import UpstreamState
from pxeapp.software.front import following, process, program
from tests.migrated import migrate
from tests.ports import free_port

ADDRESS = "127.0.0.1"


def until(true: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """What `true` gives as soon as that is something."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := true():
            return found
        time.sleep(0.03)
    raise AssertionError(f"it did not happen within {seconds} s: {what}")


@dataclass(slots=True)
class Reply:
    """What the front answered."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.body.decode()


class Running:
    """A front, its settings and its database."""

    def __init__(self, folder: Path, upstreams: str, **more: str) -> None:
        self.port = free_port()
        self.settings: Settings = config.load(
            {
                "PXEAPP_DATA_DIR": str(folder),
                "PXEAPP_FETCH_NETWORKS": "127.0.0.0/8",
                "PXEAPP_NODE_LISTEN": f"{ADDRESS}:{self.port}",
                "PXEAPP_NODE_URL": f"http://{ADDRESS}:{self.port}",
                "PXEAPP_MIRROR_UPSTREAMS": upstreams,
                **{f"PXEAPP_{name.upper()}": value for name, value in more.items()},
            }
        )
        self.database = Database(self.settings.database_url)
        migrate(self.database)
        self._patience = pytest.MonkeyPatch()
        self._patience.setattr(following, "LOOK_EVERY_S", 0.1)
        self._patience.setattr(counting, "EVERY_S", 0.1)
        self._patience.setattr(process, "LOOK_EVERY_S", 0.05)
        self._stop = threading.Event()
        self._thread: threading.Thread
        self.begin()

    def begin(self) -> None:
        """Start it, and wait until it answers."""
        self._stop.clear()
        self._thread = threading.Thread(target=process.run, args=(self.settings,), kwargs={"stop_now": self._stop})
        self._thread.start()
        until(self.answers, "the front answers")

    def end(self) -> None:
        """Stop it."""
        self._stop.set()
        self._thread.join()

    def close(self) -> None:
        """Stop it for good."""
        self.end()
        self.database.dispose()
        self._patience.undo()

    def answers(self) -> bool:
        try:
            return self.get("/repo/").status > 0
        except OSError:
            return False

    def get(self, path: str, *, method: str = "GET", address: str = ADDRESS, **headers: str) -> Reply:
        """One request as a machine makes it; a path that begins with http:// is what a proxy is asked for.

        Asked again where nginx closes a connection that has said nothing yet, as it does when it is configured anew.
        """
        try:
            return self._get(path, method, address, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return self._get(path, method, address, headers)

    def _get(self, path: str, method: str, address: str, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection(ADDRESS, self.port, timeout=30, source_address=(address, 0))
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return Reply(response.status, response.read(), dict(response.headers))
        finally:
            connection.close()

    @property
    def taken_over(self) -> bool:
        """Whether nobody accepts connections any more by a configuration before this one."""
        group = int((self.settings.run_dir / "front" / "group").read_text())
        titles = [Path(f"/proc/{pid}/cmdline") for pid in program._members(group)]
        return sum(_listens(title) for title in titles) == process.WORKERS

    def change(self, name: str, **said: Any) -> None:
        """As an operator does."""
        with self.database.write() as session:
            known = name in configured.effective(session, self.settings)
            values = {"name": name, **said}
            if known:
                service.change(session, self.settings, name, values, actor="user:tester", now=now())
            else:
                service.create(session, self.settings, values, actor="user:tester", now=now())

    def state(self, name: str) -> UpstreamState | None:
        with self.database.read() as session:
            return session.get(UpstreamState, name)

    def problem(self, name: str) -> str:
        row = self.state(name)
        return row.problem if row else ""

    def statistics(self, name: str) -> dict[str, Any]:
        with self.database.read() as session:
            return statistics.of(session, name, days=7, now=now())

    @property
    def log(self) -> str:
        return (self.settings.run_dir / "front" / "access.log").read_text()


def _listens(title: Path) -> bool:
    try:
        said = title.read_bytes().rstrip(b"\0 ")
    except OSError:
        return False
    return said == b"nginx: worker process"
