"""What dnsmasq sees becomes sightings and evidence."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from pxeapp.boot.dhcp import Observation
from pxeapp.db import Database
from pxeapp.machines.models import Event, Machine, Sighting
from pxeapp.provisioning.dhcp_process import keep

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
MAC = "52:54:00:00:00:01"


def _machine(database: Database) -> None:
    with database.write() as session:
        session.add(Machine(name="compute-01", mac=MAC, created_at=NOW, updated_at=NOW))


def _events(database: Database) -> list[str]:
    with database.read() as session:
        return [event.kind for event in session.scalars(select(Event))]


def test_a_stranger_is_recorded_and_nothing_else(database: Database) -> None:
    seen = Observation(MAC, "eno1", "discover", "offer", "10.0.0.7", "uefi", "PXEClient:Arch:00007")
    with database.write() as session:
        keep(session, seen, now=NOW)
    with database.read() as session:
        sighting = session.get_one(Sighting, MAC)
        assert (sighting.address, sighting.arch, sighting.machine_id) == ("10.0.0.7", "uefi", None)
    assert _events(database) == []


def test_a_rival_dhcp_server_stands_in_the_machines_timeline(database: Database) -> None:
    _machine(database)
    seen = Observation(MAC, "eno1", "request", "nak", arch="bios", remark="wrong server-ID")
    with database.write() as session:
        keep(session, seen, now=NOW)
    assert _events(database) == ["rival_dhcp"]


def test_another_refusal_is_no_rival(database: Database) -> None:
    _machine(database)
    seen = Observation(MAC, "eno1", "request", "nak", arch="bios", remark="address in use")
    with database.write() as session:
        keep(session, seen, now=NOW)
    assert _events(database) == []
