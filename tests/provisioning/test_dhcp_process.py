"""What dnsmasq sees becomes sightings and evidence."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from sqlalchemy import select

from pxeapp import config
from pxeapp.boot.dhcp import Observation
from pxeapp.db import Database
from pxeapp.machines.models import Event, Interface, Machine, Network, Sighting
from pxeapp.provisioning.dhcp_process import keep, plan

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


def test_an_address_that_two_machines_have_is_the_older_ones_and_the_others_are_served(
    database: Database, tmp_path: Path
) -> None:
    with database.write() as session:
        session.add(Network(name="pxe", cidr="10.77.0.0/24"))
        for name, mac, address in (("old", "52:54:00:00:00:09", "10.77.0.10"), ("new", MAC, "10.77.0.10")):
            row = Machine(name=name, mac=mac, created_at=NOW, updated_at=NOW)
            row.interfaces = [Interface(mac=mac, network="pxe", address=address)]
            session.add(row)
            session.flush()
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path), "PXEAPP_DHCP_INTERFACE": "eno1"})
    said: list[str] = []
    with database.read() as session:
        found = plan(session, settings, "full", said.append)
    assert [(each.name, each.address) for each in found.reservations] == [("old", "10.77.0.10"), ("new", None)]
    assert said == ["new gets no reservation of 10.77.0.10, which is old's; correct one of the two."]
