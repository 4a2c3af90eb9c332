"""The audit: append-only in the database itself, chained, so that whoever gets around that is found out."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import hashlib
import io
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DatabaseError

from pxeapp import audit
from pxeapp.audit import AuditPrune, AuditRow, chain, export, pruning, search
from pxeapp.audit.search import Narrowed
from pxeapp.audit.triggers import POSTGRESQL_DOWN, SQLITE_DOWN
from pxeapp.cli import main
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid
from tests.migrated import migrate

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def record(database: Database, *subjects: str, at: dt.datetime = T0, **more: Any) -> None:
    with database.write() as session:
        for subject in subjects:
            audit.record(session, at=at, actor="user:ada", action="machine.change", subject=subject, **more)


def verify(database: Database) -> chain.Verified:
    with database.read() as session:
        return chain.verify(session)


def tamper(database: Database, *statements: str) -> None:
    """As somebody who owns the database and takes the triggers away first."""
    down = SQLITE_DOWN if database.engine.dialect.name == "sqlite" else POSTGRESQL_DOWN
    with database.engine.begin() as connection:
        _run(connection, *down, *statements)


def _run(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'user:eve'", "UPDATE audit SET number = NULL", "UPDATE audit SET hash = ''",
        "DELETE FROM audit", "DELETE FROM audit WHERE number = 2", "DELETE FROM audit_prunes",
        "UPDATE audit_prunes SET through = 100",
    ],
)  # fmt: skip
def test_the_database_refuses_to_change_or_forget_a_row(any_database: Database, statement: str) -> None:
    record(any_database, "a", "b", "c")
    with any_database.write() as session:
        session.add(AuditPrune(at=T0, actor="t", through=0, hash="", rows=0, file="", sha256=""))
    with pytest.raises(DatabaseError, match="append-only"), any_database.engine.begin() as connection:
        connection.execute(text(statement))
    assert verify(any_database).problems == []
    assert verify(any_database).rows == 3


def test_each_row_goes_on_from_the_one_before(any_database: Database) -> None:
    record(any_database, "a", "b", before={"x": 1.5, "ä": [None, True]}, after={"x": "…"}, why="because")
    record(any_database, "c")
    found = verify(any_database)
    assert (found.rows, found.number, found.problems) == (3, 3, [])
    with any_database.read() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.number)).all()
        assert [row.previous for row in rows] == ["", rows[0].hash, rows[1].hash]
        assert found.head == rows[2].hash
        assert chain.holds(session, rows[0].hash)
        assert not chain.holds(session, "0" * 64)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET actor = 'user:eve' WHERE number = 2", "Row 2 .* was changed"),
        ("UPDATE audit SET at = '2020-01-01 00:00:00' WHERE number = 3", "Row 3 .* was changed"),
        ("DELETE FROM audit WHERE number = 2", "Row 2 is missing"),
        ("DELETE FROM audit WHERE number < 3", "Rows 1 to 2 are missing"),
        ("UPDATE audit SET number = NULL WHERE number = 4", "no place in the chain"),
    ],
)
def test_tampering_is_found(any_database: Database, statement: str, said: str) -> None:
    record(any_database, "a", "b", "c", "d")
    tamper(any_database, statement)
    problems = " ".join(verify(any_database).problems)
    assert re.search(said, problems), problems


def test_many_who_write_at_once_make_one_chain(any_database: Database) -> None:
    def work(number: int) -> None:
        for each in range(5):
            record(any_database, f"{number}-{each}", "and another")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    found = verify(any_database)
    assert (found.rows, found.number, found.problems) == (40, 40, [])


def test_what_is_rolled_back_leaves_no_gap(any_database: Database) -> None:
    record(any_database, "a")
    with contextlib.suppress(ZeroDivisionError), any_database.write() as session:
        audit.record(session, at=T0, actor="t", action="x", subject="never")
        session.flush()
        raise ZeroDivisionError
    with any_database.write() as session:
        nested = session.begin_nested()
        audit.record(session, at=T0, actor="t", action="x", subject="never")
        nested.rollback()
        with session.begin_nested():
            audit.record(session, at=T0, actor="t", action="x", subject="b")
    found = verify(any_database)
    assert (found.rows, found.number, found.problems) == (2, 2, [])


def test_what_is_named_like_a_secret_is_masked(database: Database) -> None:
    record(
        database, "a", before={"bmc": {"password": "hunter2", "password_set": True}}, details=[{"secret": "hunter2"}]
    )
    with database.read() as session:
        row = session.scalars(select(AuditRow)).one()
        assert "hunter2" not in json.dumps([row.before, row.details])
        assert row.before == {"bmc": {"password": "…", "password_set": True}}


# -- taking out what is old


def test_old_rows_are_exported_and_only_then_taken_out(any_database: Database, tmp_path: Path) -> None:
    record(any_database, "old1", "old2", at=T0 - 100 * DAY)
    record(any_database, "young", at=T0 - DAY)
    file = tmp_path / "old.jsonl"
    with any_database.write() as session:
        done = pruning.prune(session, before=T0 - 60 * DAY, file=file, actor="user:root", now=T0)
    assert (done.rows, done.through) == (2, 2)
    assert [json.loads(line)["subject"] for line in file.read_text().splitlines()] == ["old1", "old2"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == done.sha256
    assert file.stat().st_mode & 0o077 == 0
    found = verify(any_database)
    assert (found.rows, found.pruned, found.number, found.problems) == (2, 2, 4, [])
    with any_database.read() as session:
        subjects = session.scalars(select(AuditRow.subject).order_by(AuditRow.number)).all()
        assert subjects == ["young", "audit"], "that rows were taken out stands there as well"
    record(any_database, "next")
    assert verify(any_database).problems == []


def test_nothing_is_taken_out_of_a_broken_chain_nor_over_a_file_nor_of_late(
    any_database: Database, tmp_path: Path
) -> None:
    record(any_database, "old", "young", at=T0 - 100 * DAY)
    there = tmp_path / "there"
    there.write_text("precious")
    with pytest.raises(FileExistsError), any_database.write() as session:
        pruning.prune(session, before=T0 - 60 * DAY, file=there, actor="t", now=T0)
    with pytest.raises(Invalid), any_database.write() as session:
        pruning.prune(session, before=T0 - DAY, file=tmp_path / "x", actor="t", now=T0)
    tamper(any_database, "UPDATE audit SET subject = 'x' WHERE number = 1")
    with pytest.raises(Conflict, match="Nothing was taken out"), any_database.write() as session:
        pruning.prune(session, before=T0 - 60 * DAY, file=tmp_path / "x", actor="t", now=T0)
    assert there.read_text() == "precious"
    with any_database.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditRow)) == 2


# -- finding and exporting


def test_a_list_is_narrowed_and_paged_by_number(any_database: Database) -> None:
    for day in range(6):
        record(any_database, f"m{day}", at=T0 + day * DAY)
    with any_database.write() as session:
        audit.record(session, at=T0 + 9 * DAY, actor="user:eve", action="user.change", subject="m1", outcome="refused")

    def subjects(newest_first: bool = False, limit: int = 100, after: int = 0, **said: Any) -> list[str]:
        with any_database.read() as session:
            found = search.page(session, Narrowed(**said), newest_first=newest_first, limit=limit, after=after)
            return [f"{row.subject}" for row in found]

    assert subjects(actor="user:eve") == ["m1"]
    assert subjects(subject="m1") == ["m1", "m1"]
    assert len(subjects(action="machine.*")) == 6
    assert subjects(action="machine") == []
    assert subjects(action="%") == []
    assert subjects(outcome="refused") == ["m1"]
    assert subjects(since=T0 + DAY, until=T0 + 3 * DAY) == ["m1", "m2"]
    assert subjects(since=T0 + 99 * DAY) == []
    assert subjects(newest_first=True, limit=2) == ["m1", "m5"]
    with any_database.read() as session:
        last = search.page(session, Narrowed(), newest_first=True, limit=2)[-1].id
    assert subjects(newest_first=True, limit=2, after=last) == ["m4", "m3"]
    with pytest.raises(Invalid):
        subjects(actor="a\0")


def test_an_export_is_whole_and_runs_nothing_in_a_spreadsheet(database: Database) -> None:
    record(database, "=HYPERLINK(1)", "plain", before={"a": 1})
    rows = list(csv.DictReader(io.StringIO("".join(export.text(database, Narrowed(), "csv")))))
    assert [row["subject"] for row in rows] == ["'=HYPERLINK(1)", "plain"]
    assert json.loads(rows[1]["before"]) == {"a": 1}
    whole = json.loads("".join(export.text(database, Narrowed(), "json")))
    lines = [json.loads(line) for line in "".join(export.text(database, Narrowed(), "jsonl")).splitlines()]
    assert whole["items"] == lines
    assert len(lines) == 2


def test_the_commands_list_export_verify_and_prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path / 'pxeapp.db'}")
    migrate(database)
    record(database, "old", at=T0 - 400 * DAY)
    record(database, "node1", reason="because", outcome="refused")

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["audit", *words])
        assert done.exit_code == code, done.output
        return done.output

    assert "refused  user:ada  machine.change  node1  because" in run("list", "--refused")
    assert len(json.loads(run("list", "--json"))["items"]) == 2
    head = json.loads(run("verify", "--json"))["head"]
    run("verify", "--expect", head)
    assert "not in the chain" in run("verify", "--expect", "0" * 64, code=1)
    run("export", "--format", "csv", "--output", str(tmp_path / "a.csv"))
    assert "node1" in (tmp_path / "a.csv").read_text()
    assert "1 rows up to number 1" in run("prune", "--before", "2026-01-01", "--output", str(tmp_path / "o.jsonl"))
    run("verify", "--expect", head)
    assert "no moment" in run("list", "--since", "yesterday", code=1)
    tamper(database, "UPDATE audit SET subject = 'node2' WHERE number = 2")
    assert "Row 2 (machine.change of node2) was changed." in run("verify", code=1)
    database.dispose()
