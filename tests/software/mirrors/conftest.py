"""An upstream of a handful of packages, and the worker that syncs mirrors of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.software import kinds
from pxeapp.software.mirrors import service
from pxeapp.software.repositories import openpgp
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.openpgp import KeyPair
from pxeapp.software.repositories.signing import SigningKey
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.runner import Runner
from pxeapp.vault import open_vault
from tests.software.mirrors.upstream import Archive, Server, deb, udeb


@pytest.fixture(scope="session")
def upstream_key() -> KeyPair:
    """The publisher's."""
    if shutil.which("gpg") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("needs gpg and dpkg-deb (apt install gpg gpg-agent gpgv dpkg)")
    return openpgp.make("An upstream", algorithm="rsa2048")


@pytest.fixture(scope="session")
def our_key() -> KeyPair:
    """The appliance's."""
    return openpgp.make("pxeapp", algorithm="rsa2048")


@pytest.fixture(scope="session")
def _packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    deb(folder, "web", Depends="web-common (>= 1.0), shell | other-shell", Recommends="web-doc")
    deb(folder, "web-common", filler=400_000)
    deb(folder, "web-doc")
    deb(folder, "shell", arch="amd64")
    deb(folder, "base-files", Priority="required", Essential="yes")
    deb(folder, "broken", Depends="what-nobody-has (>= 3)")
    udeb(folder, "base-installer", Depends="kernel-image-1.0-di")
    udeb(folder, "kernel-image-1.0-di")
    return folder


@pytest.fixture(scope="session")
def _published(tmp_path_factory: pytest.TempPathFactory, upstream_key: KeyPair, _packages: Path) -> Path:
    found = Archive(tmp_path_factory.mktemp("published"), upstream_key)
    for path in sorted(_packages.glob("*deb")):
        found.add(path)
    found.publish()
    return found.root


@pytest.fixture
def archive(tmp_path: Path, upstream_key: KeyPair, _published: Path) -> Archive:
    """The upstream's archive, published."""
    shutil.copytree(_published, tmp_path / "upstream")
    return Archive(tmp_path / "upstream", upstream_key)


@pytest.fixture
def upstream(archive: Archive) -> Iterator[Server]:
    """It is served."""
    server = Server(archive.root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(settings: Settings, database: Database) -> Settings:
    return replace(settings, database_url=database.url)


class Appliance:
    """What a test does with mirrors."""

    def __init__(self, settings: Settings, database: Database, given: dict[str, Any]) -> None:
        self.settings = settings
        self.database = database
        self.given = given
        self.store = settings.data_dir / "software"

    def create(self, name: str = "web", **given: Any) -> None:
        with self.database.write() as session:
            service.create(session, [], name, {**self.given, **given}, actor="user:ops", now=now())

    def sync(self, name: str = "web") -> dict[str, Any]:
        """Order a sync, have the worker do it, and return the task."""
        with self.database.write() as session:
            number = service.sync(session, name, actor="user:ops", now=now()).id
        self.work()
        return self.task(number)

    def work(self) -> None:
        """The worker takes the one task that there is."""
        assert Runner(self.settings, kinds.loaders()).look()

    def preview(self, **given: Any) -> dict[str, Any]:
        with self.database.write() as session:
            number = service.preview(session, [], {**self.given, **given}, actor="user:ops", now=now()).id
        self.work()
        return self.task(number)

    def task(self, number: int) -> dict[str, Any]:
        with self.database.read() as session:
            return tasks.wire(tasks.get(session, number))

    def row(self, name: str = "web") -> SoftwareRepository:
        with self.database.read() as session:
            return service.get(session, name)

    def served(self, name: str = "web") -> list[str]:
        """The packages that machines see."""
        return sorted(path.name for path in (self.settings.data_dir / "repo" / name / "pool").rglob("*deb"))


@pytest.fixture
def appliance(
    settings: Settings, database: Database, upstream: Server, upstream_key: KeyPair, our_key: KeyPair
) -> Appliance:
    """With a key of its own already, so that no test waits for a large one."""
    vault = open_vault(settings.data_dir)
    with database.write() as session:
        session.add(
            SigningKey(
                fingerprint=our_key.fingerprint, owner="pxeapp", public=our_key.public,
                private=vault.encrypt(our_key.private), created_at=now(),
            )
        )  # fmt: skip
    given = {
        "sources": [{"upstream": upstream.url, "suite": "trixie", "components": ["main"]}],
        "key": upstream_key.public,
        "packages": ["web"],
    }
    return Appliance(settings, database, given)
