"""A whole appliance on loopback: `pxeapp serve` in a folder of its own, on ports of its own, with a release to install.

For simulated machines (pxeapp/lab/fleet), which have addresses in 127.77.0.0/16.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from pxeapp import config
from pxeapp.accounts import service
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.lab.client import Api
from pxeapp.lab.fleet.machine import Appliance
from pxeapp.software import adding
from pxeapp.software.releases import Description
from tests.ports import free_port, free_ports

PXEAPP = (sys.executable, "-m", "pxeapp")
RELEASE = "rocky-9"
READY_S = 120.0


class LoopbackAppliance:
    """Its folder, its settings, its API. `start` and `stop` as often as you like."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.http, self.node = free_ports(2)
        self.tftp = free_port(socket.SOCK_DGRAM)
        self.log = folder / "appliance.log"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")},
            "PXEAPP_DATA_DIR": str(folder / "data"),
            "PXEAPP_HTTP_LISTEN": f"127.0.0.1:{self.http}",
            "PXEAPP_NODE_LISTEN": f"127.0.0.1:{self.node}",
            "PXEAPP_NODE_URL": f"http://127.0.0.1:{self.node}",
            "PXEAPP_TFTP_LISTEN": f"127.0.0.1:{self.tftp}",
            "PXEAPP_MIRROR_UPSTREAMS": "none=http://127.0.0.1:9/",
            **{f"PXEAPP_{name.upper()}": value for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None

    @property
    def url(self) -> str:
        """Where operators find it."""
        return f"http://127.0.0.1:{self.http}"

    @property
    def seen_by_machines(self) -> Appliance:
        """Where machines find it."""
        return Appliance(self.environment["PXEAPP_NODE_URL"], ("127.0.0.1", self.tftp))

    @property
    def api(self) -> Api:
        """Its API with an administrator's token."""
        if self._api is None:
            with self.database() as database, database.write() as session:
                _, secret = service.create_token(session, name="test", role="admin", actor="test", now=now())
            self._api = Api(self.url, secret)
        return self._api

    @property
    def settings(self) -> Settings:
        """What its processes read from their environment."""
        return config.load({name: value for name, value in self.environment.items() if name.startswith("PXEAPP_")})

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Its database, from this process: a command beside it takes seconds to start."""
        found = Database(self.settings.database_url)
        try:
            yield found
        finally:
            found.dispose()

    def argv(self) -> Sequence[str]:
        """How it is started."""
        return [*PXEAPP, "serve"]

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                self.argv(), env=self.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until it says that it is ready."""
        Api(self.url).await_ready(READY_S)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                if requests.get(f"http://127.0.0.1:{self.node}/healthz", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise AssertionError("the machines' HTTP does not answer")

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def command(self, *words: str) -> str:
        """Run a `pxeapp` command beside it."""
        done = subprocess.run(
            [*PXEAPP, *words], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"pxeapp {' '.join(words)}: {done.stderr or done.stdout}"
        return done.stdout

    def add_release(self, *, kernel: int = 64 * 1024, initrd: int = 256 * 1024) -> None:
        """A release that nobody could boot, with files of these sizes; simulated machines do not mind."""
        files = self.folder / "files"
        files.mkdir(exist_ok=True)
        (files / "vmlinuz").write_bytes(os.urandom(kernel))
        (files / "initrd.img").write_bytes(os.urandom(initrd))
        described = Description(
            name=RELEASE, family="rocky", version="9", install_url="{node_url}/repo/rocky/9/BaseOS/x86_64/os"
        )
        with self.database() as database:
            adding.from_directory(
                database,
                self.settings,
                described,
                files,
                kernel="vmlinuz",
                initrd="initrd.img",
                actor="test",
                now=now(),
            )

    def register(self, machines: list[dict[str, Any]]) -> None:
        """Import them."""
        self.api.post("/machines/import", machines)


@contextmanager
def installing_appliance(folder: Path, **settings: str) -> Iterator[LoopbackAppliance]:
    """One that runs and has a release to install."""
    running = LoopbackAppliance(folder, **settings)
    running.start()
    try:
        running.add_release()
        yield running
    finally:
        running.stop()
