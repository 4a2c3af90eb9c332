"""An appliance's settings and tasks of its own, and media as they come."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pxeapp import config
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.software import kinds
from pxeapp.software.content.store import Store
from pxeapp.software.isos import orders
from pxeapp.software.isos.orders import Wanted
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.runner import Runner
from tests.software.isos import making

ACTOR = "user:ops"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test writes need not outlive the power: waiting for the disk is most of an import of small files."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture(scope="session")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two packages, made once."""
    folder = tmp_path_factory.mktemp("rpms")
    return making.rpm(folder, "bash"), making.rpm(folder, "nginx")


@pytest.fixture(scope="session")
def dvd_tree(tmp_path_factory: pytest.TempPathFactory, rpms: tuple[Path, Path]) -> Path:
    """What lies on the DVD of Rocky Linux 9.4; whoever changes it takes a copy."""
    tree = tmp_path_factory.mktemp("dvd-tree") / "tree"
    making.repository(tree / "BaseOS", rpms[0])
    making.repository(tree / "AppStream", rpms[1])
    return making.el(tree)


@pytest.fixture(scope="session")
def dvd(dvd_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rocky Linux 9.4's DVD, made once."""
    path = tmp_path_factory.mktemp("dvd") / "Rocky-9.4-x86_64-dvd.iso"
    return making.iso(dvd_tree, path, "Rocky-9-4-x86_64-dvd")


@pytest.fixture
def settings(tmp_path: Path, database: Database) -> Settings:
    """No mirror is known but one that nobody answers for."""
    made = config.load(
        {
            "PXEAPP_DATA_DIR": str(tmp_path / "data"),
            "PXEAPP_FETCH_NETWORKS": "127.0.0.0/8",
            "PXEAPP_MIRROR_UPSTREAMS": "nothing=http://127.0.0.1:9/nothing",
        }
    )
    (made.data_dir / orders.INCOMING).mkdir(parents=True)
    return replace(made, database_url=database.url)


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.data_dir / "software")


class Importer:
    """Orders an import and does it, as the worker does."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.runner = Runner(settings, kinds.loaders())

    def __call__(self, iso: Path, **said: Any) -> dict[str, Any]:
        """Import an image that lies below incoming/; returns the task as it ended."""
        (self.settings.data_dir / orders.INCOMING / iso.name).write_bytes(iso.read_bytes())
        return self.order(Wanted(path=iso.name, **said))

    def order(self, wanted: Wanted) -> dict[str, Any]:
        """Order it and do it."""
        with self.database.write() as session:
            number = orders.order(session, self.settings, wanted, actor=ACTOR, now=now()).id
        return self.work(number)

    def work(self, number: int) -> dict[str, Any]:
        """Do what waits; returns this task."""
        assert self.runner.look()
        with self.database.read() as session:
            return tasks.wire(tasks.get(session, number))


@pytest.fixture
def importing(settings: Settings, database: Database) -> Importer:
    return Importer(settings, database)


@pytest.fixture
def uploaded(store: Store) -> Callable[[Path], str]:
    """Puts a file where an upload ends; returns its SHA-256."""

    def put(path: Path) -> str:
        assert store.add_file(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return put
