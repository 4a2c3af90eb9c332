"""An appliance's store, repositories whose packages are a few bytes, and a worker that does what was ordered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import select

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.software import kinds, packages
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Kind, Package
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots.models import Channel
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.runner import Runner

OPS = "user:ops"


@dataclass
class Site:
    """What a test has of an appliance."""

    settings: Settings
    database: Database
    store: Store

    def publish(
        self, name: str, held: Mapping[str, str], *, kind: Kind = "deb", files: Mapping[str, bytes] = {}
    ) -> str:
        """A repository with packages NAME_VERSION: CONTENT, as a publication leaves it; returns its manifest."""
        listed, entries = [], []
        for known, content in held.items():
            package, _, version = known.partition("_")
            blob = self.store.add_bytes(content.encode())
            path = f"pool/main/{package[0]}/{package}/{package}_{version}_amd64.deb"
            listed.append(Package(kind, package, version, "amd64", path, blob.sha256, blob.size, package.split("-")[0]))
            entries.append(Entry(path, blob.sha256, blob.size))
        index = "".join(f"{each.name} {each.version} {each.sha256}\n" for each in listed).encode()
        for path, data in {"dists/stable/Packages": index, **files}.items():
            blob = self.store.add_bytes(data)
            entries.append(Entry(path, blob.sha256, blob.size))
        manifest = Manifest(entries)
        with self.database.write() as session:
            row = session.scalar(select(SoftwareRepository).where(SoftwareRepository.name == name))
            if row is None:
                row = SoftwareRepository(name=name, kind=kind, origin="local", created_at=now(), updated_at=now())
                row.suite, row.components, row.architectures = "stable", ["main"], ["amd64"]
                session.add(row)
                row.manifest = ""
            row.previous, row.manifest = row.manifest, manifest.save(self.store)
            row.packages = packages.save(self.store, listed)
            row.package_count, row.bytes, row.published_at = len(listed), manifest.bytes, now()
            return row.manifest

    def work(self) -> list[SoftwareTask]:
        """Do what was ordered, and return it."""
        runner = Runner(replace(self.settings, database_url=self.database.url), kinds.loaders())
        with self.database.read() as session:
            waiting = set(session.scalars(select(SoftwareTask.id).where(SoftwareTask.finished_at.is_(None))))
        while runner.look():
            pass
        runner._database.dispose()
        with self.database.read() as session:
            return list(session.scalars(select(SoftwareTask).where(SoftwareTask.id.in_(waiting))))

    def served(self, below: str) -> dict[str, str]:
        """What lies below /repo/, by path: the SHA-256 of each file."""
        folder = self.settings.data_dir / "repo" / below
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def site(settings: Settings, database: Database) -> Site:
    """An appliance with its three channels, and nothing else."""
    begin_channels(database)
    return Site(settings, database, Store(settings.data_dir / "software"))


def begin_channels(database: Database) -> None:
    """As the migration makes them."""
    with database.write() as session:
        for position, name in enumerate(("dev", "staging", "production"), start=1):
            session.add(Channel(name=name, position=position, created_at=now(), updated_at=now()))
