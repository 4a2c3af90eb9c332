"""Damage, a log that grows, times of the future: each is said with what to do."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pxeapp.appliance.observing import the_row
from pxeapp.db import Database
from pxeapp.doctor import databases
from pxeapp.doctor.finding import Patient
from tests.doctor.cases import sees
from tests.doctor.patients import NOW, add_machine, with_


@sees("database file", "ok", "fail")
def test_a_damaged_database_says_so(patient: Patient) -> None:
    found = databases.integrity(patient)
    assert (found.status, "is whole" in found.sentence) == ("ok", True)
    add_machine(patient)
    patient.database.dispose()
    path = patient.settings.data_dir / "pxeapp.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page, root = (
            connection.execute("PRAGMA page_size").fetchone()[0],
            connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'machines'").fetchone()[0],
        )
    with path.open("r+b") as file:
        file.seek(page * (root - 1))
        file.write(b"\xee" * page)
    found = databases.integrity(patient)
    assert (found.status, "is damaged" in found.sentence) == ("fail", True)
    assert "pxeapp restore --replace BACKUP" in found.attempt
    assert "\n" not in found.sentence


def test_a_check_that_takes_too_long_is_broken_off(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "WHOLE_WITHIN_S", 0.0)
    found = databases.integrity(patient)
    assert found.status in ("warn", "ok")  # it may be done before the bell rings
    if found.status == "warn":
        assert "quick_check" in found.attempt


@sees("write-ahead log", "ok", "warn")
def test_a_log_that_somebody_keeps_from_being_folded_in_is_a_warning(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert databases.write_ahead_log(patient).status == "ok"
    with closing(sqlite3.connect(patient.settings.data_dir / "pxeapp.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM machines").fetchall()
        add_machine(patient)
        monkeypatch.setattr(databases, "LOG_LIMIT", 1000)
        found = databases.write_ahead_log(patient)
    assert (found.status, "fuser" in found.attempt) == ("warn", True)


@sees("times in the rows", "ok", "fail")
def test_a_time_of_the_future_in_the_rows_means_that_the_clock_was_set_back(patient: Patient) -> None:
    assert databases.clock(patient).status == "ok"
    with patient.database.write() as session:
        the_row(session).clock_at = NOW
    assert databases.clock(patient).status == "ok"
    earlier = dataclasses.replace(patient, now=NOW - dt.timedelta(days=1))
    found = databases.clock(earlier)
    assert (found.status, "2026-11-25 12:00" in found.sentence) == ("fail", True)


@pytest.mark.postgresql
def test_a_server_has_its_own_files_and_the_same_time(patient: Patient, postgresql_database: Database) -> None:
    there = dataclasses.replace(with_(patient, database_url=str(postgresql_database.url)), database=postgresql_database)
    assert databases.integrity(there).status == databases.write_ahead_log(there).status == "ok"
    assert databases.clock(there).status == "ok"


def test_nothing_is_made_where_there_is_no_database(patient: Patient, tmp_path: Path) -> None:
    absent = with_(patient, database_url=f"sqlite:///{tmp_path / 'none.db'}")
    assert databases.write_ahead_log(absent).status == "ok"
    assert databases.integrity(absent).status == "warn"
    assert not (tmp_path / "none.db").exists()
