"""Sessions that commit whole or not at all, writers that wait for each other, and moments in UTC."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from pxeapp import audit, db
from pxeapp.accounts.models import SignInTry
from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import ConfigError

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)


def record(database: Database, subject: str, at: dt.datetime = T0) -> None:
    with database.write() as session:
        audit.record(session, at=at, actor="user:ada", action="test", subject=subject, number=1)


def subjects(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(AuditRow.subject).order_by(AuditRow.id)))


def _write_and_fail(session: Session) -> None:
    audit.record(session, at=T0, actor="user:ada", action="test", subject="lost")
    session.flush()
    raise ZeroDivisionError


def test_a_write_that_raises_leaves_nothing(any_database: Database) -> None:
    record(any_database, "kept")
    with pytest.raises(ZeroDivisionError), any_database.write() as session:
        _write_and_fail(session)
    assert subjects(any_database) == ["kept"]


def add_try(database: Database, key: str) -> None:
    """A row that may be changed, which those of the audit may not."""
    with database.write() as session:
        session.add(SignInTry(key=key, at=T0))


def keys(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(SignInTry.key)))


def test_what_a_read_changes_is_thrown_away_and_what_it_loaded_stays_readable(any_database: Database) -> None:
    add_try(any_database, "kept")
    with any_database.read() as session:
        row = session.scalars(select(SignInTry)).one()
        row.key = "changed"
        session.flush()
    assert row.at == T0
    assert keys(any_database) == ["kept"]


def test_writers_that_read_first_wait_for_each_other(database: Database) -> None:
    """Without BEGIN IMMEDIATE, SQLite refuses the second at once, whatever the busy timeout."""
    add_try(database, "0")
    start = threading.Barrier(4, timeout=30)
    failed: list[BaseException] = []

    def count_up() -> None:
        start.wait()
        try:
            for _ in range(10):
                with database.write() as session:
                    row = session.scalars(select(SignInTry)).one()
                    row.key = str(int(row.key) + 1)
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    assert keys(database) == ["40"]


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    add_try(database, "old")
    with database.write() as session:
        session.execute(update(SignInTry).values(key="new"))
        assert keys(database) == ["old"]
    assert keys(database) == ["new"]


def test_a_commit_on_sqlite_survives_power_loss_and_keys_are_enforced(database: Database) -> None:
    with database.read() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.datetimes(dt.datetime(1980, 1, 2), dt.datetime(2200, 1, 1), timezones=st.timezones()))
def test_every_moment_comes_back_in_utc(any_database: Database, at: dt.datetime) -> None:
    with any_database.write() as session:
        session.query(SignInTry).delete()
        session.add(SignInTry(key="x", at=at))
    with any_database.read() as session:
        found = session.scalars(select(SignInTry.at)).one()
        assert found == at.astimezone(dt.UTC)
        assert found.utcoffset() == dt.timedelta(0)
        assert session.scalars(select(SignInTry.key).where(SignInTry.at <= at)).one() == "x"


def test_a_moment_without_a_time_zone_is_refused(any_database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"):
        record(any_database, "x", dt.datetime(2026, 11, 24))
    assert db.now().utcoffset() == dt.timedelta(0)


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a' / 'b' / 'x.db'}")
    with database.read() as session:
        assert session.execute(text("SELECT 1")).scalar() == 1
    database.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        "mysql://root:hunter2@db/x",
        "oracle://root:hunter2@db/x",
        "postgresql+nodriver://root:hunter2@db/x",
    ],
)
def test_a_bad_url_is_one_sentence_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert "PXEAPP_DATABASE_URL" in caught.value.sentence
    assert caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_postgresql_is_written_as_everybody_writes_it() -> None:
    database = Database("postgresql://user:secret@db.example.org/pxeapp")
    assert database.engine.url.drivername == "postgresql+psycopg"
    assert "secret" not in repr(database.engine)
