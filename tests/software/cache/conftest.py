"""A front over an upstream that can be changed, killed and made to lie."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pxeapp.software.repositories import openpgp
from pxeapp.software.repositories.openpgp import KeyPair
from tests.software.front.running import Running
from tests.software.mirrors.upstream import Archive, Server


class Mortal(Server):
    """One that can be killed with every connection that it has."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        found, address = super().get_request()
        self.connections.append(found)
        return found, address

    def kill(self) -> None:
        self.shutdown()
        self.server_close()
        for each in self.connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def revive(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.server_bind()
        self.server_activate()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@dataclass
class Site:
    """The front, an apt archive as its upstream `debian`, and what the upstream was asked."""

    front: Running
    archive: Archive
    server: Mortal
    keyring: Path

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Nobody listens where the upstream was, until the block ends."""
        self.server.kill()
        try:
            yield
        finally:
            self.server.revive()

    @property
    def asked(self) -> int:
        """How often the upstream was asked for anything."""
        return sum(self.server.asked.values())


@pytest.fixture(scope="module")
def key() -> KeyPair:
    return openpgp.make("Archive of the tests", algorithm="rsa2048")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, key: KeyPair) -> Iterator[Site]:
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("site")
    (folder / "upstream/debian").mkdir(parents=True)
    server = Mortal(folder / "upstream")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    keyring = folder / "keyring.gpg"
    keyring.write_bytes(openpgp.binary_keyring(key.public.encode()))
    front = Running(folder / "data", f"debian={server.url}/debian")
    yield Site(front, Archive(folder / "upstream/debian", key), server, keyring)
    front.close()
    server.shutdown()
    server.server_close()
    thread.join()
