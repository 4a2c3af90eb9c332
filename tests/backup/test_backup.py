"""A backup is made while everybody writes, is whole or is not there, and says what it holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import sqlite3
import stat
import tarfile
import threading
import zlib
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import select

from pxeapp import migrations
from pxeapp.audit import AuditRow
from pxeapp.backup import archive, making
from pxeapp.backup import manifest as manifests
from pxeapp.backup.making import Wish
from pxeapp.backup.manifest import BadBackup, Member
from pxeapp.backup.room import NoRoom
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.machines.models import Sighting
from pxeapp.software.content.store import Store
from tests.backup.conftest import PASSWORD, Pxeapp
from tests.provisioning.rack import Rack


def make(settings: Settings, target: Path, wish: Wish | None = None) -> manifests.Manifest:
    return making.make(settings, target, wish or Wish(), say=lambda _line: None, now=now())


def names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def test_it_holds_what_cannot_be_made_again_and_nobody_else_may_read_it(settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    manifest = make(settings, target)
    assert names(target) == ["database.sqlite", "secret.key", "templates/kickstarts/monitor.ks", "manifest.json"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert manifest.counts == {"machines": 2, "deployments under way": 0}
    assert {each["release"] for each in manifest.releases} == {"rocky-9"}
    assert all(len(each["sha256"]) == 64 for each in manifest.releases)
    assert manifest.settings["node_url"] == settings.node_url
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_media_come_along_when_they_are_asked_for_and_the_key_stays_when_it_is_told_to(
    settings: Settings, tmp_path: Path
) -> None:
    target = tmp_path / "b.tar.gz"
    manifest = make(settings, target, Wish(key=False, media=True))
    assert manifest.has_media
    assert not manifest.has_key
    found = names(target)
    assert "secret.key" not in found
    assert sum(name.startswith("media/rocky-9/") for name in found) == 2


def test_what_is_served_out_of_the_store_is_kept_once(settings: Settings, tmp_path: Path) -> None:
    store = Store(settings.data_dir / "software")
    package = store.add_bytes(b"a package")
    (store.incoming / "half").write_bytes(b"ha")
    for name in ("tools", "media"):
        (settings.data_dir / "repo" / name).mkdir(parents=True)
        store.link(package.sha256, settings.data_dir / "repo" / name / "a.deb")
    (settings.data_dir / "repo/by-hand").mkdir()
    (settings.data_dir / "repo/by-hand/b.deb").write_bytes(b"another")
    make(settings, tmp_path / "b.tar.gz", Wish(media=True))
    found = {name for name in names(tmp_path / "b.tar.gz") if name.startswith(("repo/", "software/"))}
    pool = store.path(package.sha256).relative_to(settings.data_dir)
    assert found == {str(pool), "repo/by-hand/b.deb"}


def test_no_password_is_readable_in_it(rack: Rack, settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    make(settings, target)
    with tarfile.open(target) as tar:
        everything = b"".join((tar.extractfile(name) or io.BytesIO()).read() for name in tar.getnames())
    assert PASSWORD.encode() not in everything


def test_settings_hide_the_passwords_of_servers(settings: Settings) -> None:
    said = manifests.settings_of(
        Settings(
            **{
                name: getattr(settings, name)
                for name in settings.__dataclass_fields__
                if name not in ("database_url", "queue_url")
            },
            database_url="postgresql://pxe:hunter2@db/pxe",
            queue_url="redis://:hunter2@queue:6379/0",
        )
    )
    assert "hunter2" not in json.dumps(said)
    assert "@db/pxe" in said["database_url"]


def test_it_is_one_moment_while_everybody_writes(rack: Rack, settings: Settings, tmp_path: Path) -> None:
    """Pairs of rows are written in one commit each: a copy that is torn between two moments would hold odd numbers."""
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            with rack.provisioner.database.write() as session:
                for half in ("a", "b"):
                    mac = f"02:{half}0:{written >> 16 & 255:02x}:{written >> 8 & 255:02x}:{written & 255:02x}:00"
                    session.add(Sighting(mac=mac, first_seen=now(), last_seen=now(), loader_requests=0))
            written += 1

    writers = [threading.Thread(target=write)]
    for writer in writers:
        writer.start()
    try:
        while written < 20:
            stop.wait(0.01)
        before = written
        for number in range(3):
            make(settings, tmp_path / f"{number}.tar.gz")
        assert written > before  # nobody waited for the backup to end
    finally:
        stop.set()
        for writer in writers:
            writer.join(60)
    for number in range(3):
        folder = tmp_path / f"out{number}"
        folder.mkdir()
        archive.read(tmp_path / f"{number}.tar.gz", folder)
        with sqlite3.connect(folder / "database.sqlite") as connection:
            found = connection.execute("SELECT count(*), count(DISTINCT substr(mac, 7)) FROM sightings").fetchone()
        connection.close()
        assert found[0] == 2 * found[1]
        assert found[1] >= 20


def test_the_file_is_not_there_before_it_is_whole(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "b.tar.gz"

    def broken(*_: object) -> None:
        assert not target.exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.Writer, "finish", broken)
    with pytest.raises(OSError, match="space"):
        make(settings, target)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("data", "files")] == []


def test_another_backup_is_never_written_over(settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    target.write_text("precious")
    with pytest.raises(BadBackup, match="exists"):
        make(settings, target)
    assert target.read_text() == "precious"


def test_too_little_room_is_said_before_anything_is_written(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(NoRoom, match="MB are free"):
        make(settings, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


def test_there_is_no_backup_of_nothing(pxeapp: Pxeapp, tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        said = pxeapp("backup", str(tmp_path / "b.tar.gz"), data_dir=folder)
        assert said.exit_code == 1
        assert "PXEAPP_DATA_DIR" in said.output
        assert not (folder / "pxeapp.db").exists()


def spoiled(source: Path, target: Path, name: str, content: bytes) -> None:
    """The same archive with one member changed, its tar and gzip as they must be."""
    with tarfile.open(source) as old, tarfile.open(target, "w:gz") as new:
        for member in old:
            body = (old.extractfile(member) or io.BytesIO()).read()
            if member.name == name:
                body = content
                member.size = len(body)
            new.addfile(member, io.BytesIO(body))


def unpacked(content: bytes) -> bytes | None:
    """What gzip makes of it; None where it refuses."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def test_whatever_is_wrong_with_one_is_found(settings: Settings, tmp_path: Path) -> None:
    good = tmp_path / "good.tar.gz"
    make(settings, good)
    making.verify(good)
    content = good.read_bytes()
    bad = tmp_path / "bad.tar.gz"
    for place in range(20, len(content), max(1, len(content) // 25)):
        bad.write_bytes(content[:place])
        with pytest.raises(BadBackup):
            making.verify(bad)
        flipped = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        if unpacked(flipped) == unpacked(content):
            continue  # gzip can say the same in several ways: a match with the same bytes elsewhere, for one
        bad.write_bytes(flipped)
        with pytest.raises(BadBackup):
            making.verify(bad)
    for member in names(good)[:-1]:
        spoiled(good, bad, member, b"something else")
        with pytest.raises(BadBackup, match="not as written"):
            making.verify(bad)
    for text in (b"", b"{}", b"[]", b"nonsense", b'{"format": 99}', b'{"format": 1, "members": {"x": 3}}'):
        spoiled(good, bad, "manifest.json", text)
        with pytest.raises(BadBackup):
            making.verify(bad)


@pytest.mark.parametrize("name", ["../escape", "/etc/escape", "a/../../escape", "a//b", ".", "a\nb"])
def test_names_that_lead_elsewhere_are_refused_whatever_the_manifest_says(tmp_path: Path, name: str) -> None:
    bad = tmp_path / "bad.tar.gz"
    with tarfile.open(bad, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(BadBackup):
        archive.read(bad, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_only_plain_files_are_taken_out(tmp_path: Path, kind: bytes) -> None:
    bad = tmp_path / "bad.tar.gz"
    member = tarfile.TarInfo("templates")
    member.type, member.linkname = kind, "/etc"
    with tarfile.open(bad, "w:gz") as tar:
        tar.addfile(member)
    with pytest.raises(BadBackup):
        archive.read(bad, tmp_path)


def test_a_database_that_is_damaged_inside_is_found_though_its_hash_is_right(
    settings: Settings, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz"
    manifest = make(settings, good)
    folder = tmp_path / "out"
    folder.mkdir()
    archive.read(good, folder)
    torn = bytearray((folder / "database.sqlite").read_bytes())
    torn[8192:16384] = bytes(8192)
    (folder / "database.sqlite").write_bytes(torn)
    with archive.writing(bad, lambda _size: None) as writer:
        for name in manifest.members:
            writer.add(name, folder / name)
        writer.finish(manifests.read(_with(manifest, writer.members)))
    with pytest.raises(BadBackup, match="damaged"):
        making.verify(bad)


def _with(manifest: manifests.Manifest, members: dict[str, Member]) -> bytes:
    said = json.loads(manifest.to_json())
    said["members"] = {name: {"sha256": each.sha256, "size": each.size} for name, each in members.items()}
    return json.dumps(said).encode()


def test_the_command_says_that_the_key_is_in_it_and_where_the_file_is(pxeapp: Pxeapp, settings: Settings) -> None:
    said = pxeapp("backup")
    assert said.exit_code == 0, said.output
    (made,) = settings.backups_dir.glob("*.pxeapp.tar.gz")
    assert str(made) in said.output
    assert "KEY" in said.output
    assert "is whole" in pxeapp("backup", "--verify", str(made)).output
    without = pxeapp("backup", "--without-key", str(settings.data_dir / "other.tar.gz"))
    assert "NOT hold the key" in without.output
    as_json = pxeapp("backup", "--verify", str(made), "--json")
    assert json.loads(as_json.stdout)["counts"]["machines"] == 2
    assert pxeapp("backup", "--verify").exit_code == 2


def rows(settings: Settings) -> list[AuditRow]:
    with Database(settings.database_url).read() as session:
        return list(session.scalars(select(AuditRow).where(AuditRow.action == "appliance.backup")))


def test_the_audit_has_which_file_was_made_and_whether_the_key_is_in_it(pxeapp: Pxeapp, settings: Settings) -> None:
    with_key, without = settings.data_dir / "1.tar.gz", settings.data_dir / "2.tar.gz"
    assert pxeapp("backup", str(with_key)).exit_code == 0
    assert pxeapp("backup", "--without-key", str(without)).exit_code == 0
    pxeapp("backup", "--verify", str(with_key))
    said = [(row.actor, row.details["file"], row.details["sha256"], row.details["key"]) for row in rows(settings)]
    assert said == [
        ("user:local", str(path), hashlib.sha256(path.read_bytes()).hexdigest(), key)
        for path, key in ((with_key, True), (without, False))
    ]


def test_a_database_that_only_reads_is_backed_up_and_it_is_said_that_the_audit_lacks_it(
    pxeapp: Pxeapp, settings: Settings
) -> None:
    with sqlite3.connect(settings.data_dir / "pxeapp.db") as connection:  # stands for a disk that is mounted read-only
        connection.execute(
            "CREATE TRIGGER only_read BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'it is read-only'); END"
        )
    connection.close()
    target = settings.data_dir / "b.tar.gz"
    said = pxeapp("backup", str(target))
    assert said.exit_code == 0, said.output
    assert "the audit does not say that it was made: it is read-only" in said.output
    assert "is whole" in pxeapp("backup", "--verify", str(target)).output
    assert rows(settings) == []


def test_an_older_schema_is_backed_up_without_a_row_in_its_audit(
    rack: Rack, settings: Settings, tmp_path: Path
) -> None:
    command.downgrade(migrations.alembic_config(rack.provisioner.database), "0002")
    rack.provisioner.database.before_each = None
    said: list[str] = []
    making.make(settings, tmp_path / "b.tar.gz", Wish(), say=said.append, now=now())
    assert said[-1].endswith("The database is at schema 0002, which is not this version's.")


def test_one_that_cannot_be_read_back_is_not_left_behind(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise NoRoom("There is no room to read it back in.")

    monkeypatch.setattr(making, "verify", no_room)
    with pytest.raises(NoRoom):
        make(settings, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()
    assert rows(settings) == []
