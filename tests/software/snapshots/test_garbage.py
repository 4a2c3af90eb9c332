"""Whatever is published, taken, promoted, deleted and collected, in any order: what somebody holds stays whole."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pxeapp import config
from pxeapp.db import Database, now
from pxeapp.errors import PxeError
from pxeapp.migrations import tables
from pxeapp.software.content import garbage
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.snapshots import channels, service, verifying
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.snapshots.service import Holder
from tests.software.snapshots.conftest import OPS, Site, begin_channels

assert tables  # whoever keeps something has a table, and the test's database has it too
REPOSITORIES, NAMES = st.sampled_from(["nova", "glance"]), st.sampled_from(["a", "b", "c"])
CHANNELS = st.sampled_from(["dev", "staging", "production"])


class Histories(RuleBasedStateMachine):
    """The real thing beside a model: which manifests each name must serve."""

    tables: Path  # an empty database

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pxeapp-garbage-"))
        shutil.copyfile(self.tables, self.folder / "test.db")
        database = Database(f"sqlite:///{self.folder / 'test.db'}")
        begin_channels(database)
        own = config.load({"PXEAPP_DATA_DIR": str(self.folder / "data")})
        self.site = Site(own, database, Store(own.data_dir / "software"))
        self.published: dict[str, list[str]] = {}  # the present one and the one before
        self.taken: dict[str, dict[str, str]] = {}
        self.pinned: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "site"):
            self.site.database.dispose()
            shutil.rmtree(self.folder, ignore_errors=True)

    @rule(name=REPOSITORIES, version=st.integers(1, 4), content=st.sampled_from("xyz"))
    def publish(self, name: str, version: int, content: str) -> None:
        manifest = self.site.publish(name, {f"{name}_{version}": content, "common_1": "common"})
        self.published[name] = [manifest, *self.published.get(name, [])[:1]]

    @rule(name=NAMES)
    def take(self, name: str) -> None:
        with contextlib.suppress(PxeError), self.site.database.write() as session:
            row = service.take(session, name, actor=OPS, now=now())
            self.taken[name] = {each.name: each.manifest for each in row.repositories}
        self.site.work()

    @rule(name=NAMES, channel=CHANNELS)
    def promote(self, name: str, channel: str) -> None:
        with contextlib.suppress(PxeError), self.site.database.write() as session:
            channels.promote(session, name, channel, force=True, reason="any order", actor=OPS, now=now())
        self.site.work()

    @rule(channel=CHANNELS)
    def back(self, channel: str) -> None:
        with contextlib.suppress(PxeError), self.site.database.write() as session:
            channels.rollback(session, channel, actor=OPS, now=now())
        self.site.work()

    @rule(channel=CHANNELS)
    def end(self, channel: str) -> None:
        """A channel goes, and comes again with nothing."""
        with contextlib.suppress(PxeError), self.site.database.write() as session:
            channels.delete(session, channel, held_by=(), actor=OPS, now=now())
        self.site.work()
        assert not (self.site.settings.data_dir / "repo/channels" / channel).exists()
        with self.site.database.write() as session:
            channels.create(session, channel, actor=OPS, now=now())

    @rule(name=NAMES)
    def pin(self, name: str) -> None:
        if name in self.taken:
            self.pinned ^= {name}

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        held_by = [Holder("release", each, Pin(each)) for each in self.pinned]
        with contextlib.suppress(PxeError), self.site.database.write() as session:
            service.delete(session, name, held_by=held_by, actor=OPS, now=now())
            assert name not in self.pinned
            del self.taken[name]
        self.site.work()

    @rule()
    def collect(self) -> None:
        with self.site.database.read() as session:
            held = garbage.marked(session, self.site.store)
        garbage.sweep(self.site.store, held, now=2.0**40)  # as if all were old
        named = {*held}
        assert {path.name for path in self.site.store} <= named  # and nothing else is left

    @invariant()
    def what_is_held_is_whole(self) -> None:
        if not hasattr(self, "site"):
            return
        for manifests in self.published.values():
            for sha256 in manifests:
                assert all(self.site.store.has(entry.sha256) for entry in Manifest.load(self.site.store, sha256))
        root = self.site.settings.data_dir / "repo"
        assert self.pinned <= set(self.taken)
        for name, parts in self.taken.items():
            for repository, sha256 in parts.items():
                manifest = Manifest.load(self.site.store, sha256)
                assert list(verifying.differences(manifest, root / "snapshots" / name / repository)) == []
        with self.site.database.read() as session:
            for row in channels.listing(session):
                assert row.published == row.snapshot
                for repository, sha256 in self.taken.get(row.published or "", {}).items():
                    folder = root / "channels" / row.name / repository
                    lacking = [
                        each
                        for each in verifying.differences(Manifest.load(self.site.store, sha256), folder)
                        if not each.endswith("does not belong to it")  # of the one before, for who is in the middle
                    ]
                    assert lacking == []


def test_what_somebody_holds_is_never_collected(tmp_path: Path, database: Database) -> None:
    Histories.tables = tmp_path / "empty.db"
    database.dispose()
    shutil.copyfile(tmp_path / "test.db", Histories.tables)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Histories,
        settings=settings(
            max_examples=5, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_lost_manifest_stops_the_collection(site: Site) -> None:
    manifest = site.publish("nova", {"nova_1": "x"})
    site.store.path(manifest).unlink()
    with site.database.read() as session, pytest.raises(PxeError):
        garbage.marked(session, site.store)
