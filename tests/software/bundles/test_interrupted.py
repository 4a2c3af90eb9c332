"""A bundle that is interrupted while it is made, or while it is imported, goes on where it was."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pxeapp.db import now
from pxeapp.software.bundles import making, service
from pxeapp.software.bundles.models import Bundle
from pxeapp.software.content.store import Incoming
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.software.tasks.running import Run, Stopped
from tests.software import killing
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


def stop_after(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The work ends at the so manieth word of it, as when its process ends."""
    left = [times]
    progress = Run.progress

    def counted(self: Run, *args: Any, **said: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise killing.Killed
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
        with pytest.raises(killing.Killed):
            large.work()
    assert not (large.settings.data_dir / "bundles/site").exists()
    stage = large.settings.data_dir / "bundles/.making-site"
    whole = {path.name: path.stat().st_ino for path in stage.glob("site.*-of-*")} if stage.is_dir() else {}
    killing.free(large.database)
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
        with pytest.raises(killing.Killed):
            other.bring(parts, trust=[large.fingerprint])
    assert other.rows(Snapshot) == []
    before = written["bytes"]
    killing.free(other.database)
    (task, *_) = other.work()
    assert task.problem == ""
    assert other.served("snapshots/large") == large.served("snapshots/large")
    total = sum(path.stat().st_size for path in parts)
    assert written["bytes"] < total + MIB, (before, total)  # hardly anything was read twice


@pytest.mark.parametrize("recorded", [False, True])
def test_making_that_was_killed_when_all_parts_were_there_ends_with_these_very_parts(
    large: Appliance, other: Appliance, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    with large.database.write() as session:
        said = {"snapshots": ["large"], "part_size": 2 * MIB}
        service.create(session, large.settings, "site", said, replace=False, actor=OPS, now=now())
    if recorded:
        killing.killed_at_the_end(large.settings, large.database)
    else:
        with killing.killed_at(monkeypatch, making, "record"):
            large.work()
        killing.free(large.database)
    before = {path.name: path.stat().st_ino for path in large.parts("site")}
    (task, *_) = large.work()
    assert (task.outcome, task.problem) == ("done", "")
    assert {path.name: path.stat().st_ino for path in large.parts("site")} == before
    assert task.result["identity"] == large.rows(Bundle)[0].identity
    assert other.bring(large.parts("site"), trust=[large.fingerprint]).problem == ""


@pytest.mark.parametrize("recorded", [False, True])
def test_an_import_that_was_killed_when_all_was_taken_finds_its_own(
    source: Appliance, other: Appliance, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    source.add_release()
    source.save_template("lang en_US.UTF-8\n")
    source.make("site", snapshots=["2026-11"], releases=["debian-13"], templates=True)
    paths = other.lay(source.parts("site"))
    with other.database.write() as session:
        said = {"paths": paths, "trust": [source.fingerprint]}
        service.take(session, other.settings, said, kind=service.IMPORT, actor=OPS, now=now())
    if recorded:
        killing.killed_at_the_end(other.settings, other.database)
    else:
        with killing.killed_at(monkeypatch, making, "record"):
            other.work()
        killing.free(other.database)
    (task, *_) = other.work()
    assert (task.outcome, task.problem) == ("done", "")
    assert task.result["same"]["releases"] == ["debian-13"]
    assert task.result["same"]["snapshots"] == ["2026-11"]
    assert task.result["kept"]["templates"] == []
    assert [(row.name, row.direction) for row in other.rows(Bundle)] == [("site", "imported")]
    assert other.served("snapshots/2026-11") == source.served("snapshots/2026-11")


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
