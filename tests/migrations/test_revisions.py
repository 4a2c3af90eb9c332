"""From every earlier schema, full of rows: nothing is lost, whoever kills it, however many upgrade at once."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, DateTime, Integer, LargeBinary, MetaData, Table, func, select, text

from pxeapp import migrations
from pxeapp.db import Base, Database
from pxeapp.errors import PxeError
from pxeapp.storage.sqlite import SqliteFile
from tests.conftest import load_models
from tests.migrations.test_upgrade import differences
from tests.sweep import FULL, size

REVISIONS = [script.revision for script in ScriptDirectory.from_config(migrations.alembic_config()).walk_revisions()]
EARLIER = sorted(set(REVISIONS) - {migrations.head_revision()})
ROWS = 3
TIMES = 7  # that an upgrade is killed, at moments as far apart as each other; `make soak` takes every moment
FIRST = 100  # the number of the first row; a migration may have made some of its own
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
# `make soak` goes from each, on both. Here PostgreSQL is upgraded from every fifth, and killed from the first.
FROM = [("sqlite", each) for each in EARLIER] + [
    pytest.param("postgresql", each, marks=pytest.mark.postgresql)
    for each in (EARLIER if FULL else sorted({*EARLIER[::5], EARLIER[-1]}))
]
KILLED = [("sqlite", each) for each in ("base", *(EARLIER if FULL else EARLIER[:1]))] + [
    pytest.param("postgresql", each, marks=pytest.mark.postgresql)
    for each in (("base", *EARLIER) if FULL else EARLIER[:1])
]


@pytest.fixture(params=BOTH)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    sqlite = request.param == "sqlite"
    database = Database(f"sqlite:///{tmp_path / 'x.db'}" if sqlite else request.getfixturevalue("postgresql_url"))
    yield database
    database.dispose()


def bring_to(database: Database, revision: str) -> None:
    command.upgrade(migrations.alembic_config(database), revision)


def fill(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Rows in every table that there is at this revision, whatever its columns; returns them as they are read."""
    metadata = MetaData()
    metadata.reflect(database.engine)
    tables = [table for table in metadata.sorted_tables if table.name != "alembic_version"]
    with database.engine.begin() as connection:
        for table in tables:
            rows = [{column.name: _value(table, column, number) for column in table.columns} for number in range(ROWS)]
            connection.execute(table.insert(), rows)
    return rows_of(database, tables)


def rows_of(database: Database, tables: list[Table]) -> dict[str, list[dict[str, Any]]]:
    with database.engine.connect() as connection:
        return {
            table.name: sorted(
                (
                    {str(key): value for key, value in row.items()}
                    for row in connection.execute(select(table)).mappings()
                ),
                key=repr,
            )
            for table in tables
        }


def _value(table: Table, column: Column[Any], number: int) -> Any:
    for key in column.foreign_keys:
        return _value(key.column.table, key.column, number)
    kind = column.type
    if isinstance(kind, Boolean):
        return bool(number % 2)
    if isinstance(kind, Integer):
        return FIRST + number
    if isinstance(kind, DateTime):
        return dt.datetime(2026, 1, 1 + number, tzinfo=dt.UTC if kind.timezone else None)
    if isinstance(kind, JSON):
        return {"number": number, "text": "größer"}
    if isinstance(kind, LargeBinary):
        return bytes([number, 0, 255])
    return f"{number}-{table.name}-{column.name}"[: getattr(kind, "length", None) or 60]


@pytest.mark.soak
@pytest.mark.parametrize(("empty", "revision"), FROM, indirect=["empty"])
def test_every_row_comes_through_from_every_earlier_schema(empty: Database, revision: str) -> None:
    load_models()
    bring_to(empty, revision)
    before = fill(empty)
    assert all(len(rows) >= ROWS for rows in before.values())
    assert migrations.upgrade(empty) == (revision, migrations.head_revision())
    assert differences(empty) == []
    metadata = MetaData()
    metadata.reflect(empty.engine)
    after = rows_of(empty, [table for table in metadata.sorted_tables if table.name in before])
    assert set(after) == set(before)
    for name, rows in before.items():
        kept = [{key: row[key] for key in rows[0] if key in row} for row in after[name]]
        assert sorted(kept, key=repr) == sorted(rows, key=repr), name
    with empty.read() as session:
        for mapper in Base.registry.mappers:  # and the models can read each of them
            found = session.scalars(select(mapper.class_)).all()
            assert len(found) == session.scalar(select(func.count()).select_from(mapper.class_))
    with empty.write() as session:
        if empty.engine.dialect.name == "sqlite":
            assert session.execute(text("PRAGMA foreign_key_check")).all() == []


def run(*words: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.migrations.children", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.soak
@pytest.mark.parametrize(("empty", "revision"), KILLED, indirect=["empty"])
def test_an_upgrade_that_is_killed_anywhere_has_changed_nothing_and_is_done_again(
    empty: Database, revision: str
) -> None:
    load_models()
    if revision != "base":
        bring_to(empty, revision)
        fill(empty)
    empty.dispose()
    url = empty.engine.url.render_as_string(hide_password=False)
    deaths = run("killed", url, str(size(TIMES, 0)))
    assert deaths >= TIMES
    assert differences(empty) == []


def test_many_that_upgrade_at_once_do_it_one_by_one(empty: Database) -> None:
    load_models()
    bring_to(empty, EARLIER[0])
    fill(empty)
    empty.dispose()
    run("together", empty.engine.url.render_as_string(hide_password=False), "3")
    assert differences(empty) == []


def test_before_an_upgrade_a_copy_is_made_and_before_nothing_none(empty: Database, tmp_path: Path) -> None:
    copies = tmp_path / "backups"
    migrations.upgrade(empty, copies=copies)
    migrations.upgrade(empty, copies=copies)
    assert not copies.exists()  # it was empty, and then there was nothing to do
    command.downgrade(migrations.alembic_config(empty), EARLIER[0])
    before = fill(empty)
    migrations.upgrade(empty, copies=copies)
    (copy,) = copies.iterdir()
    assert copy.name.startswith(f"before-{migrations.head_revision()}-from-{EARLIER[0]}.")
    assert copy.stat().st_mode & 0o077 == 0
    if copy.suffix == ".db":
        copied = Database(f"sqlite:///{copy}")
        assert migrations.present_revision(copied.engine) == EARLIER[0]
        metadata = MetaData()
        metadata.reflect(copied.engine)
        found = rows_of(copied, [table for table in metadata.sorted_tables if table.name in before])
        assert found == before
        copied.dispose()


def test_without_room_for_the_copy_nothing_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    bring_to(database, EARLIER[0])

    def full(*_: object, **__: object) -> None:
        raise PxeError("The disk of the database is full.")

    monkeypatch.setattr(SqliteFile, "copy", full)
    with pytest.raises(PxeError, match="full"):
        migrations.upgrade(database, copies=tmp_path / "backups")
    assert migrations.present_revision(database.engine) == EARLIER[0]
    database.dispose()
