"""Whatever ends a restore in its middle: the old appliance with its own key, or a sentence, and it is done again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp import migrations
from pxeapp.backup import archive, drafts, making, restoring, room
from pxeapp.backup.places import Occupied
from pxeapp.backup.room import NoRoom
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.machines.models import Machine
from pxeapp.supervisor.lock import only_one
from pxeapp.vault import open_vault
from tests.backup.conftest import PASSWORD, Pxeapp, at, backup, bmc_password, database_of, restore
from tests.provisioning.rack import Rack
from tests.supervisor.test_lock import HOLDER


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "data"


def machines(database: Database) -> list[str]:
    with database.read() as session:
        return sorted(session.scalars(select(Machine.name)))


def another_appliance(data_dir: Path, url: str = "") -> bytes:
    """One with a machine and a key of its own; the key."""
    open_vault(data_dir)
    database = Database(at(data_dir, url).database_url)
    migrations.upgrade(database)
    with database.write() as session:
        session.add(Machine(name="precious", mac="52:54:00:00:00:07", created_at=now(), updated_at=now()))
    database.dispose()
    return (data_dir / "secret.key").read_bytes()


MOMENTS = ["reading", "ready", "aside", "key", "templates", "database"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("replace", [False, True])
def test_one_that_is_killed_anywhere_leaves_the_old_with_its_key_or_says_that_it_is_missing_and_is_done_again(
    settings: Settings, tmp_path: Path, elsewhere: Path, moment: str, replace: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception stands for kill -9 here; the cleaning up that a kill would skip is left out."""
    source = backup(settings, tmp_path / "b.tar.gz")
    key = another_appliance(elsewhere) if replace else b""
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_a, **_k: None)
        died = _die_at(patched, moment, elsewhere)
        if moment == "aside" and not replace:
            return  # there is nothing to put aside
        with pytest.raises(KeyboardInterrupt):
            restore(source, elsewhere, replace=replace)
    assert died == [moment]
    fresh = database_of(elsewhere)
    if (elsewhere / "pxeapp.db").exists():
        assert replace
        assert machines(fresh) == ["precious"]
        assert (elsewhere / "secret.key").read_bytes() == key
    elif fresh.file is not None and fresh.file.mark.exists():
        with pytest.raises(Exception, match="pxeapp restore"):
            machines(fresh)
    else:
        assert not replace
    fresh.dispose()
    restore(source, elsewhere, replace=replace)
    assert machines(database_of(elsewhere)) == ["node1", "node2"]
    assert bmc_password(elsewhere, database_of(elsewhere)) == PASSWORD
    assert [path.name for path in elsewhere.iterdir() if path.name.startswith(".")] == []
    kept = [path.read_bytes() for path in elsewhere.glob("before-restore-*/secret.key")]
    assert not replace or key in kept


def _die_at(patched: pytest.MonkeyPatch, moment: str, data_dir: Path) -> list[str]:
    died: list[str] = []
    places = {"key": "secret.key", "templates": "templates", "database": "pxeapp.db"}
    rename = Path.rename

    def die(*_: object, **__: object) -> None:
        died.append(moment)
        raise KeyboardInterrupt

    def rename_or_die(self: Path, target: Path) -> Path:
        aside = moment == "aside" and Path(target).name == "pxeapp.db" and Path(target).parent != data_dir
        if aside or (moment in places and Path(target) == data_dir / places[moment]):
            die()
        return rename(self, target)

    if moment == "reading":
        patched.setattr(making, "refuse_unfit", die)
    elif moment == "ready":
        patched.setattr(restoring, "_new_name", die)
    else:
        patched.setattr(Path, "rename", rename_or_die)
    return died


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("There is no second disk to write to.")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


def test_a_database_on_a_disk_of_its_own_is_put_aside_there(
    settings: Settings, tmp_path: Path, elsewhere: Path, other_disk: Path
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    url = f"sqlite:///{other_disk}/pxeapp.db"
    another_appliance(elsewhere, url)
    done = restore(source, elsewhere, replace=True, url=url)
    assert machines(Database(url)) == ["node1", "node2"]
    assert {Path(each).parent for each in done.aside} == {elsewhere, other_disk}
    (old,) = other_disk.glob("before-restore-*/pxeapp.db")
    assert machines(Database(f"sqlite:///{old}")) == ["precious"]
    assert [path.name for path in other_disk.iterdir() if path.name.startswith(".")] == []


def test_a_disk_without_room_for_the_database_is_named_before_anything_is_touched(
    settings: Settings, tmp_path: Path, elsewhere: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    url = f"sqlite:///{other_disk}/pxeapp.db"
    key = another_appliance(elsewhere, url)
    usage = shutil.disk_usage
    small = shutil._ntuple_diskusage(10, 10, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: small if Path(path) == other_disk else usage(path))
    with pytest.raises(NoRoom, match=str(other_disk)):
        restore(source, elsewhere, replace=True, url=url)
    assert machines(Database(url)) == ["precious"]
    assert (elsewhere / "secret.key").read_bytes() == key


def test_media_on_a_disk_of_their_own_are_refused_before_anything_is_touched(
    settings: Settings, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    another_appliance(elsewhere)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == elsewhere / "templates")
    with pytest.raises(Occupied, match="disk of its own"):
        restore(source, elsewhere, replace=True)
    assert machines(database_of(elsewhere)) == ["precious"]


def test_a_serve_that_waits_for_its_lost_database_is_not_restored_under(
    settings: Settings, tmp_path: Path, rack: Rack, pxeapp: Pxeapp
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    rack.provisioner.database.dispose()
    (settings.data_dir / "pxeapp.db").unlink()
    settings.run_dir.mkdir(exist_ok=True)
    held = [sys.executable, "-c", HOLDER, str(settings.run_dir)]
    with subprocess.Popen(held, stdout=subprocess.PIPE, text=True) as serve:
        assert serve.stdout is not None
        serve.stdout.readline()
        said = pxeapp("restore", str(source))
        serve.kill()
    assert said.exit_code == 1
    assert f"pxeapp serve already runs on {settings.data_dir}, as process {serve.pid}." in said.output
    assert "systemctl stop pxeapp" in said.output
    assert not (settings.data_dir / "pxeapp.db").exists()
    restore(source, settings.data_dir)


def test_no_serve_starts_while_one_is_restored(
    settings: Settings, tmp_path: Path, elsewhere: Path, pxeapp: Pxeapp, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    tried = []
    move_in = restoring._move_in

    def meanwhile(*everything: object) -> None:
        tried.append(pxeapp("serve", data_dir=elsewhere))
        move_in(*everything)  # type: ignore[arg-type]

    monkeypatch.setattr(restoring, "_move_in", meanwhile)
    restore(source, elsewhere)
    assert tried[0].exit_code == 1
    assert f"pxeapp restore already runs on {elsewhere}, as process {os.getpid()}." in tried[0].output
    with only_one(elsewhere / "run"):
        pass


WORKING = """
import sys, time
from pathlib import Path
from pxeapp.backup import drafts
with drafts.folder(Path(sys.argv[1]), sys.argv[2]) as folder:
    (folder / "secret.key").write_text("key")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("prefix", [drafts.BACKUP, drafts.RESTORE])
def test_what_a_killed_one_leaves_is_cleared_away_by_the_next_and_nobody_elses(tmp_path: Path, prefix: str) -> None:
    words = [sys.executable, "-c", WORKING, str(tmp_path), prefix]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as dead,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as alive,
    ):
        assert dead.stdout is not None
        assert alive.stdout is not None
        left, used = Path(dead.stdout.readline().strip()), Path(alive.stdout.readline().strip())
        dead.kill()
        dead.wait()
        (tmp_path / f"{prefix}file").write_text("somebody's")
        (tmp_path / f"{prefix}link").symlink_to(tmp_path)
        assert (left / "secret.key").exists()
        with drafts.folder(tmp_path, prefix) as mine:
            assert not left.exists()
            assert (used / "secret.key").exists()
        alive.kill()
    assert not mine.exists()
    assert {path.name for path in tmp_path.iterdir()} == {used.name, f"{prefix}file", f"{prefix}link"}


def test_a_backup_and_its_archive_are_begun_in_such_folders(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "backups" / "b.tar.gz"
    target.parent.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_a, **_k: None)
        patched.setattr(archive.Writer, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            backup(settings, target)
    assert {path.name[: len(drafts.BACKUP)] for path in target.parent.iterdir()} == {drafts.BACKUP}
    backup(settings, target)
    assert list(target.parent.iterdir()) == [target]


def test_what_comes_out_of_a_backup_is_measured_not_what_it_is_packed_into(
    settings: Settings, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    size = (settings.data_dir / "pxeapp.db").stat().st_size
    packed = source.stat().st_size
    assert 2 * packed < size
    free = room.MARGIN + 2 * packed
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(free, 0, free))
    with pytest.raises(NoRoom, match=f"database.sqlite of {source} needs .* in {elsewhere}, and .* are free"):
        restore(source, elsewhere)
    assert not elsewhere.exists()


def test_a_disk_that_becomes_full_meanwhile_is_named(
    settings: Settings, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoRoom, match=f"database.sqlite of {source} needs .* in {elsewhere}, and there is no room left"):
        restore(source, elsewhere)
    assert not elsewhere.exists()
