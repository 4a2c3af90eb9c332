"""Who was seen on the wire: strangers are kept up to a cap, and nothing they say of themselves does harm."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from pxeapp.db import Database
from pxeapp.machines import sightings
from pxeapp.machines.models import Machine, Sighting
from tests.machines.conftest import LATER, T0, add, mac


def seen(database: Database, number: int, now: dt.datetime = T0, **said: object) -> None:
    with database.write() as session:
        sightings.record(session, mac=mac(number), now=now, **said)


def test_what_is_not_said_now_is_not_forgotten(any_database: Database) -> None:
    seen(any_database, 1, arch="uefi", address="10.0.0.5", vendor_class="PXEClient")
    seen(any_database, 1, LATER, serial="S1", address="10.0.0.6", arch=None)
    with any_database.read() as session:
        row = session.get_one(Sighting, mac(1))
        assert (row.arch, row.address, row.serial, row.vendor_class) == ("uefi", "10.0.0.6", "S1", "PXEClient")
        assert (row.first_seen, row.last_seen) == (T0, LATER)


def test_a_late_message_does_not_turn_the_clock_back(database: Database) -> None:
    seen(database, 1, LATER)
    seen(database, 1, T0)
    with database.read() as session:
        assert session.get_one(Sighting, mac(1)).last_seen == LATER


def test_strangers_are_capped_and_the_longest_unseen_go_first(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "UNKNOWN_LIMIT", 10)
    monkeypatch.setattr(sightings, "EVICT_AT_ONCE", 3)
    add(any_database, "known")
    with any_database.read() as session:
        known = session.scalars(select(Machine.id)).one()
    seen(any_database, 1, machine_id=known)  # the oldest of all, and ours
    for number in range(2, 40):
        seen(any_database, number, T0 + dt.timedelta(seconds=number))
        with any_database.read() as session:
            assert len(session.scalars(select(Sighting)).all()) <= 11
    with any_database.read() as session:
        kept = set(session.scalars(select(Sighting.mac)))
    assert mac(1) in kept
    assert mac(39) in kept
    assert mac(2) not in kept


def test_what_a_stranger_says_fits_its_columns(any_database: Database) -> None:
    """A forged packet may hold anything; PostgreSQL would refuse the whole transaction for one long or odd text."""
    seen(
        any_database, 1, vendor_class="x" * 5000, serial="a\0b\r\nc\ud800", uuid="u" * 99, arch="y" * 99,
        manufacturer="\0", product="Pro\tLiant", address="z" * 400,
    )  # fmt: skip
    with any_database.read() as session:
        row = session.get_one(Sighting, mac(1))
        assert len(row.vendor_class or "") == 255
        assert row.serial == "abc"
        assert row.manufacturer is None
        assert row.product == "ProLiant"


def test_loader_requests_are_counted(any_database: Database) -> None:
    seen(any_database, 1)
    with any_database.write() as session:
        assert [sightings.count_loader_request(session, mac=mac(1)) for _ in range(3)] == [1, 2, 3]
        assert sightings.count_loader_request(session, mac=mac(2)) == 0
