"""Two appliances: one that has everything, and one that no network leads to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp import config
from pxeapp.answers import site_templates
from pxeapp.db import Base, Database, now
from pxeapp.software import adding
from pxeapp.software.bundles import service
from pxeapp.software.content.store import Store
from pxeapp.software.releases import Description
from pxeapp.software.repositories import signing
from pxeapp.software.snapshots import service as snapshots
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.templates import Templates
from pxeapp.vault import open_vault
from tests.software.snapshots.conftest import OPS, Site, begin_channels

TEMPLATE = "kickstarts/site.ks"
needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None, reason="needs gpg (apt install gpg gpg-agent gpgv)")


class Appliance(Site):
    """One of the two."""

    fingerprint = ""

    def make(self, name: str, **said: Any) -> SoftwareTask:
        """Make a bundle, and return the task that did."""
        with self.database.write() as session:
            service.create(session, self.settings, name, said, replace=True, actor=OPS, now=now())
        return self.done()

    def bring(self, parts: list[Path], *, kind: str = service.IMPORT, **said: Any) -> SoftwareTask:
        """Lay parts where the appliance takes them from, order the import, and return the task that did it."""
        said["paths"] = self.lay(parts)
        with self.database.write() as session:
            service.take(session, self.settings, said, kind=kind, actor=OPS, now=now())
        return self.done()

    def lay(self, parts: list[Path]) -> list[str]:
        """Have them below incoming."""
        folder = self.settings.data_dir / "incoming"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in parts:
            shutil.copyfile(path, folder / path.name)
        return [path.name for path in parts]

    def done(self) -> SoftwareTask:
        """The last of what was ordered before, whatever that orders itself."""
        (task, *_) = self.work()
        return task

    def parts(self, name: str) -> list[Path]:
        """Of a bundle that was made here."""
        return sorted((self.settings.data_dir / "bundles" / name).iterdir())

    def templates(self) -> Templates:
        return Templates(self.settings.templates_dir)

    def save_template(self, text: str, path: str = TEMPLATE) -> None:
        """As somebody edits it here."""
        with self.database.write() as session:
            site_templates.save(session, self.templates(), path, text, author=OPS, comment="", now=now())
        site_templates.bring(self.database, self.settings.templates_dir)

    def take_snapshot(self, name: str) -> str:
        with self.database.write() as session:
            digest = snapshots.take(session, name, actor=OPS, now=now()).digest
        self.work()
        return digest

    def add_release(self, name: str = "debian-13", *, kernel: bytes = b"a kernel", **said: Any) -> None:
        folder = self.settings.data_dir / "files"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "images").mkdir(parents=True)
        (folder / "linux").write_bytes(kernel)
        (folder / "initrd.gz").write_bytes(b"an initrd")
        (folder / "images/extra.img").write_bytes(b"more" * 5000)
        about = Description(
            name=name, family="debian", version="13", install_url="{media}/images",
            repositories=[{"name": "nova", "url": "{node_url}/repo/nova", "suite": "stable"}], **said,
        )  # fmt: skip
        adding.from_directory(
            self.database, self.settings, about, folder, kernel="linux", initrd="initrd.gz", files=["images/extra.img"],
            actor=OPS, now=now(), replace_existing=True,
        )  # fmt: skip

    def rows(self, model: type[Base]) -> list[Any]:
        with self.database.read() as session:
            return list(session.scalars(select(model)))


def appliance(folder: Path, database: Database) -> Appliance:
    settings = replace(config.load({"PXEAPP_DATA_DIR": str(folder / "data")}), database_url=database.url)
    settings.data_dir.mkdir(parents=True)
    begin_channels(database)
    return Appliance(settings, database, Store(settings.data_dir / "software"))


@pytest.fixture
def source(tmp_path: Path, database: Database) -> Appliance:
    """The one that has everything."""
    made = appliance(tmp_path / "source", database)
    key = signing.add(
        database, open_vault(made.settings.data_dir), actor=OPS, now=now(), algorithm="ed25519", owner="the source"
    )
    made.fingerprint = key.fingerprint
    made.publish("nova", {f"nova_{number}": f"content {number}" * 3000 for number in range(6)})
    made.take_snapshot("2026-11")
    return made


@pytest.fixture
def other(tmp_path: Path, _with_tables: Path) -> Iterator[Appliance]:
    """The one behind the gap, on SQLite."""
    path = tmp_path / "other.db"
    shutil.copyfile(_with_tables, path)
    database = Database(f"sqlite:///{path}")
    yield appliance(tmp_path / "other", database)
    database.dispose()


@pytest.fixture
def third(tmp_path: Path, postgresql_database: Database) -> Appliance:
    """The same on PostgreSQL."""
    return appliance(tmp_path / "third", postgresql_database)


Bytes = Callable[[bytes], bytes]
