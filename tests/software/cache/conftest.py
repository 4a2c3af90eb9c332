"""A front over an upstream that can be changed, killed and made to lie."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pxeapp.software.repositories import openpgp
from pxeapp.software.repositories.openpgp import KeyPair
from tests.software.front.running import Running
from tests.software.mirrors.upstream import Archive, Server


@dataclass
class Site:
    """The front, an apt archive as its upstream `debian`, and what the upstream was asked."""

    front: Running
    archive: Archive
    server: Server
    keyring: Path

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
    server = Server(folder / "upstream")
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
