"""What each fault of a database file is called, that nothing is half-written, and that it is used again once mended."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text

from pxeapp import audit, config, db, migrations
from pxeapp.audit import AuditRow
from pxeapp.cli import main
from pxeapp.db import Base, Database, now
from pxeapp.doctor import host
from pxeapp.doctor.finding import Patient
from pxeapp.storage import faults
from pxeapp.storage.faults import DatabaseLost, DatabaseUnavailable
from pxeapp.storage.sqlite import InUse, SqliteFile
from tests.migrated import migrate
from tests.storage.disks import Disk
from tests.sweep import size


def record(database: Database, subject: str) -> None:
    with database.write() as session:
        audit.record(session, at=now(), actor="user:ada", action="test", subject=subject, filler="x" * 3000)


def subjects(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(AuditRow.subject).order_by(AuditRow.id)))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Database]:
    """A database of the present schema, as `pxeapp db upgrade` leaves it."""
    found = Database(f"sqlite:///{tmp_path / 'data' / 'pxeapp.db'}")
    migrate(found)
    record(found, "kept")
    yield found
    found.dispose()


def path_of(database: Database) -> Path:
    assert database.file is not None
    return database.file.path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_work_waits_for_a_lock_and_is_done_when_it_is_gone(made: Database) -> None:
    done: list[str] = []

    def work() -> None:
        record(made, "waited")
        done.append("waited")

    with locked(path_of(made)):
        worker = threading.Thread(target=work)
        worker.start()
        worker.join(size(2, 10))
        assert worker.is_alive()
        assert done == []
        assert subjects(made) == ["kept"]  # readers do not wait
    worker.join(30)
    assert done == ["waited"]
    assert subjects(made) == ["kept", "waited"]


def test_a_lock_that_is_never_given_back_is_said_and_nothing_is_changed(
    made: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.2)
    impatient = Database(made.url)
    with locked(path_of(made)), pytest.raises(DatabaseUnavailable, match="locked") as caught:
        record(impatient, "lost")
    assert "fuser" in caught.value.hint
    record(impatient, "later")
    impatient.dispose()
    assert subjects(made) == ["kept", "later"]


@pytest.mark.parametrize("state", ["missing", "empty"])
def test_a_lost_database_is_never_made_anew_and_is_used_again_once_it_is_there(made: Database, state: str) -> None:
    path = path_of(made)
    away = path.with_name("away")
    path.rename(away)
    if state == "empty":
        path.touch()
    for each in (made, Database(made.url)):
        for attempt in (record, lambda database, _subject: subjects(database)):
            with pytest.raises(DatabaseLost, match="there was one") as caught:
                attempt(each, "lost")
            assert "pxeapp restore" in caught.value.hint
    assert not path.exists() or path.stat().st_size == 0
    away.rename(path)
    record(made, "again")
    assert subjects(made) == ["kept", "again"]


def test_the_doctor_tells_a_lost_database_from_one_that_was_never_made(tmp_path: Path) -> None:
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path / "data")})
    database = Database(settings.database_url)
    patient = Patient(settings, database, now())
    assert "pxeapp db upgrade" in host.database(patient).attempt
    migrations.upgrade(database)
    assert host.database(patient).status == "ok"
    database.dispose()
    path_of(database).unlink()
    with pytest.raises(DatabaseLost, match="there was one"):
        host.database(patient)


def test_a_first_start_makes_one_and_from_then_on_it_can_be_lost(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'pxeapp.db'}")
    migrations.upgrade(database)
    mark = path_of(database).with_name("pxeapp.db.made")
    assert "no empty database" in mark.read_text()
    database.dispose()
    path_of(database).unlink()
    with pytest.raises(DatabaseLost, match="is not there") as caught:
        migrations.upgrade(Database(database.url))
    assert str(mark) in caught.value.hint
    assert not path_of(database).exists()
    mark.unlink()  # as the sentence says
    migrations.upgrade(Database(database.url))


def test_a_process_follows_a_database_that_was_replaced(made: Database, tmp_path: Path) -> None:
    """What is written to the file of before would be lost without a word."""
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    migrations.upgrade(other)
    record(other, "of the other")
    other.dispose()
    SqliteFile(tmp_path / "other.db").close_for_good()
    path = path_of(made)
    for suffix in ("", "-wal", "-shm"):  # as `pxeapp restore --replace` does it; a log left behind would be applied
        path.with_name(f"{path.name}{suffix}").rename(path.with_name(f"old{suffix}"))
    (tmp_path / "other.db").rename(path)
    record(made, "written to it")
    assert subjects(made) == ["of the other", "written to it"]


def _read_everything(database: Database) -> None:
    with database.read() as session:
        for table in Base.metadata.sorted_tables:
            session.execute(table.select()).all()


@pytest.mark.parametrize("part", ["header", "pages"])
def test_a_damaged_one_is_refused_with_a_sentence_and_left_as_it_is(made: Database, part: str) -> None:
    path = path_of(made)
    made.dispose()  # the last one out folds the log into the file
    content = bytearray(path.read_bytes())
    damaged = slice(0, 4096) if part == "header" else slice(4096, len(content))
    content[damaged] = b"\x5a" * len(content[damaged])
    path.write_bytes(content)
    with pytest.raises(DatabaseUnavailable, match=r"damaged|no database") as caught:
        _read_everything(made)
    assert "pxeapp restore" in caught.value.hint
    assert SqliteFile(path).whole()
    made.dispose()
    assert path.read_bytes() == bytes(content)


def test_a_full_disk_takes_all_of_a_change_or_nothing_and_goes_on_by_itself(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    database = Database(f"sqlite:///{disk.place / 'pxeapp.db'}")
    try:
        migrations.upgrade(database)
        record(database, "0")
        disk.fill()
        accepted, refused = ["0"], 0
        for number in range(1, 2000):
            try:
                with database.write() as session:
                    for _half in range(2):
                        audit.record(
                            session, at=now(), actor="user:ada", action="test", subject=str(number), x="y" * 3000
                        )
                accepted += [str(number)] * 2
            except DatabaseUnavailable as error:
                assert error.sentence == "The disk of the database is full."  # noqa: PT017 - it may succeed for a while
                refused += 1
                if refused == 3:
                    break
        assert refused == 3
        assert subjects(database) == accepted
        disk.empty()
        record(database, "after")
        assert subjects(database) == [*accepted, "after"]
        assert not SqliteFile(path_of(database)).whole()
    finally:
        database.dispose()
        disk.take_away()


def test_a_read_only_disk_is_named_and_used_again_once_it_is_writable(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    database = Database(f"sqlite:///{disk.place / 'pxeapp.db'}")
    try:
        migrations.upgrade(database)
        record(database, "kept")
        database.dispose()
        disk.read_only(read_only=True)
        with pytest.raises(DatabaseUnavailable, match="can be read but not written"):
            record(database, "lost")
        database.dispose()
        disk.read_only(read_only=False)
        record(database, "again")
        assert subjects(database) == ["kept", "again"]
    finally:
        database.dispose()
        disk.take_away()


def test_the_commands_refuse_with_a_sentence_and_make_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "data"))
    run = CliRunner()
    assert run.invoke(main, ["db", "upgrade"]).exit_code == 0
    path = tmp_path / "data" / "pxeapp.db"
    for content in (None, b"", b"nonsense" * 1000):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        for words in (["db", "upgrade"], ["serve"], ["machine", "list"]):
            said = run.invoke(main, words)
            assert said.exit_code == 1, words
            assert said.output.count("\n") == 1, said.output
            assert "pxeapp restore" in said.output
        assert (path.read_bytes() if path.exists() else None) == content


def test_one_that_is_in_use_is_not_closed_under_its_user(made: Database) -> None:
    with made.read() as session:
        session.scalar(select(AuditRow.id))
    with pytest.raises(InUse):
        SqliteFile(path_of(made)).close_for_good()
    made.dispose()
    SqliteFile(path_of(made)).close_for_good()
    assert not path_of(made).with_name("pxeapp.db-wal").exists()


def test_a_copy_holds_what_was_committed_last_and_is_for_its_owner_only(made: Database, tmp_path: Path) -> None:
    told: list[float] = []
    for number in range(50):
        record(made, str(number))
    assert path_of(made).with_name("pxeapp.db-wal").stat().st_size  # most of it is not in the file itself
    target = tmp_path / "copy.db"
    assert made.file is not None
    made.file.copy(target, progress=told.append)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    copied = Database(f"sqlite:///{target}")
    assert subjects(copied) == ["kept", *map(str, range(50))]
    copied.dispose()
    assert all(0 <= share <= 1 for share in told)


@pytest.mark.postgresql
def test_a_server_that_is_away_is_said_without_its_password_and_used_again_once_it_is_back(
    postgresql_database: Database,
) -> None:
    record(postgresql_database, "kept")
    with postgresql_database.engine.connect() as admin:
        admin.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                 "AND datname = current_database()")
        )  # fmt: skip
    record(postgresql_database, "again")
    assert subjects(postgresql_database) == ["kept", "again"]
    away = Database("postgresql://pxe:hunter2@127.0.0.1:1/pxe")
    with pytest.raises(DatabaseUnavailable, match="refused") as caught:
        subjects(away)
    assert "hunter2" not in str(caught.value)
    away.dispose()


def test_every_sentence_ends_and_none_is_about_the_statement() -> None:
    for name, sentence, hint in faults.MEANINGS:
        assert name.startswith("SQLITE_")
        assert sentence.endswith(".")
        assert "{file}" in hint
    odd = faults.of_sqlite(sqlite3.OperationalError("something new\nsecond line"), Path("/x/y.db"))
    assert odd.sentence == "The database refused: something new."
