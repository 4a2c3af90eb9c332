"""A bundle that is interrupted while it is made, or while it is imported, goes on where it was."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

from pxeapp.db import now
from pxeapp.software.bundles import service
from pxeapp.software.content.store import Incoming
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.running import Run, Stopped
from tests.software.bundles.conftest import OPS, Appliance, needs_gpg

pytestmark = needs_gpg
MIB = 1024 * 1024


@pytest.fixture
def large(source: Appliance) -> Appliance:
    source.publish("large", {f"large_{number}": chr(97 + number) * (2 * MIB) for number in range(3)})
    source.take_snapshot("large")
    return source


class Disk(NamedTuple):
    """As shutil tells of one."""

    total: int
    used: int
    free: int


class Killed(BaseException):
    """As if the process were gone: nobody handles it."""


def stop_after(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The work ends at the so manieth word of it, as when its process ends."""
    left = [times]
    progress = Run.progress

    def counted(self: Run, *args: Any, **said: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        progress(self, *args, **said)

    monkeypatch.setattr(Run, "progress", counted)


@pytest.mark.parametrize("times", [3, 14])
def test_making_goes_on_behind_the_parts_that_are_whole(
    large: Appliance, other: Appliance, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    said = {"snapshots": ["large"], "part_size": 2 * MIB}
    with monkeypatch.context() as patched:
        stop_after(patched, times)
        with large.database.write() as session:
            service.create(session, large.settings, "site", said, replace=True, actor=OPS, now=now())
        with pytest.raises(Killed):
            large.work()
    assert not (large.settings.data_dir / "bundles/site").exists()
    stage = large.settings.data_dir / "bundles/.making-site"
    whole = {path.name: path.stat().st_ino for path in stage.glob("site.*-of-*")} if stage.is_dir() else {}
    free(large)
    large.work()
    parts = large.parts("site")
    assert whole.items() <= {path.name: path.stat().st_ino for path in parts}.items()
    assert not stage.exists()
    assert other.bring(parts, trust=[large.fingerprint]).problem == ""


@pytest.mark.parametrize("times", [4, 9])
def test_importing_goes_on_and_nothing_is_used_before_all_is_there(
    large: Appliance, other: Appliance, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    large.make("site", snapshots=["large"], part_size=2 * MIB)
    parts = large.parts("site")
    written: Counter[str] = Counter()
    write = Incoming.write

    def counted(self: Incoming, chunk: bytes) -> None:
        written["bytes"] += len(chunk)
        write(self, chunk)

    monkeypatch.setattr(Incoming, "write", counted)
    with monkeypatch.context() as patched:
        stop_after(patched, times)
        with pytest.raises(Killed):
            other.bring(parts, trust=[large.fingerprint])
    assert other.rows(Snapshot) == []
    before = written["bytes"]
    free(other)
    (task, *_) = other.work()
    assert task.problem == ""
    assert other.served("snapshots/large") == large.served("snapshots/large")
    total = sum(path.stat().st_size for path in parts)
    assert written["bytes"] < total + MIB, (before, total)  # hardly anything was read twice


def free(appliance: Appliance) -> None:
    """The lease of the killed worker is over."""
    with appliance.database.write() as session:
        session.execute(
            update(SoftwareTask).where(SoftwareTask.finished_at.is_(None)).values(lease_until=None, lease_owner=None)
        )


def test_a_full_disk_is_a_sentence_before_anything_is_written(
    large: Appliance, other: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.make("site", snapshots=["large"])
    full = Disk(10**12, 10**12 - 2 * MIB, 2 * MIB)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _path: full)
        task = other.bring(large.parts("site"), trust=[large.fingerprint])
        assert "are free on the disk of" in task.problem
        assert list(other.store) == []
        again = large.make("more", snapshots=["large"])
        assert "are free on the disk of" in again.problem
    assert not Path(large.settings.data_dir / "bundles/more").exists()


def test_a_cancelled_one_leaves_what_was_there(large: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    large.make("site", snapshots=["2026-11"])
    before = {path.name: path.read_bytes() for path in large.parts("site")}

    def stopped(_self: Run, *_args: Any, **_said: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(Run, "progress", stopped)
        with large.database.write() as session:
            task = service.create(
                session, large.settings, "site", {"snapshots": ["large"]}, replace=True, actor=OPS, now=now()
            )
            task.cancelled = True
        large.work()
    assert {path.name: path.read_bytes() for path in large.parts("site")} == before
