"""The row past the ORM is the row that the ORM sees, on either database."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select, update

from pxeapp.appliance import observing
from pxeapp.bmc import power
from pxeapp.bmc.ledger import READ, Ledger
from pxeapp.bmc.models import PowerAction
from pxeapp.commits import GroupCommit
from pxeapp.db import Database
from pxeapp.machines.models import Bmc, Event, Machine, Sighting
from pxeapp.prepared import Runner
from tests.bmc.conftest import MAC, T0

LATER = T0 + dt.timedelta(seconds=3)


@pytest.fixture
def action_id(any_database: Database) -> int:
    with any_database.write() as session:
        machine = Machine(name="node1", mac=MAC, created_at=T0, updated_at=T0)
        machine.bmc = Bmc(type="ipmi", address="10.0.0.7", port=6230, username="ada", cipher_suite=17)
        session.add(machine)
        session.flush()
        action = power.request(session, machine_id=machine.id, goal="netboot", requested_by="user:ada", now=T0)
        action.lease_owner, action.lease_epoch = "worker:1", 4
        return action.id


def whole(database: Database, action_id: int) -> dict[str, object]:
    with database.read() as session:
        action = session.get_one(PowerAction, action_id)
        return {name: getattr(action, name) for name in READ}


def test_reads_what_the_orm_reads(any_database: Database, action_id: int) -> None:
    def look(run: Runner) -> dict[str, object]:
        action = Ledger(run).action(action_id)
        assert action is not None
        return {name: getattr(action, name) for name in READ}

    assert GroupCommit(any_database).run(look) == whole(any_database, action_id)
    assert GroupCommit(any_database).run(lambda run: Ledger(run).action(action_id + 1) is None)


def test_what_is_saved_is_the_row_and_its_lines(any_database: Database, action_id: int) -> None:
    def intend(run: Runner) -> bool:
        ledger = Ledger(run)
        action = ledger.action(action_id)
        assert action is not None
        power.enter(ledger, action, "off_intended", now=LATER, note="seen on")
        ledger.seen(action.machine_id, "on", LATER)
        return ledger.save(action)

    assert GroupCommit(any_database).run(intend)
    row = whole(any_database, action_id)
    assert (row["phase"], row["phase_since"], row["command_at"]) == ("off_intended", LATER, LATER)
    assert row["log"] == [{"at": LATER.isoformat(), "phase": "off_intended", "note": "seen on"}]
    with any_database.read() as session:
        machine = session.scalars(select(Machine)).one()
        assert (machine.power, machine.power_seen_at) == ("on", LATER)
        line = session.scalars(select(Event).order_by(Event.id.desc())).first()
        assert line is not None
        assert line.evidence == {"power_action": action_id, "phase": "off_intended"}
        assert (line.at, line.source, line.kind, line.machine_id) == (LATER, "bmc", "power", machine.id)


@pytest.mark.parametrize("change", [{"lease_epoch": 5}, {"lease_owner": "worker:2"}, {"finished_at": T0}])
def test_row_that_is_another_workers_by_now_is_left_alone(
    any_database: Database, action_id: int, change: dict[str, object]
) -> None:
    def late(run: Runner) -> bool:
        ledger = Ledger(run)
        action = ledger.action(action_id)
        assert action is not None
        action.lease_epoch, action.lease_owner = 4, "worker:1"  # as it was when this worker last looked
        power.enter(ledger, action, "off_intended", now=LATER, note="")
        return ledger.save(action)

    with any_database.write() as session:
        session.execute(update(PowerAction).values(**change))
    before = whole(any_database, action_id)
    assert not GroupCommit(any_database).run(late)
    assert whole(any_database, action_id) == before
    with any_database.read() as session:
        assert session.scalars(select(Event)).all() == []


def test_how_to_reach_the_bmc_and_what_holds_us_back(any_database: Database, action_id: int) -> None:
    commits = GroupCommit(any_database)
    machine_id = int(str(whole(any_database, action_id)["machine_id"]))

    def login(run: Runner) -> tuple[object, ...] | None:
        bmc = Ledger(run).bmc(machine_id)
        return None if bmc is None else (bmc.type, bmc.address, bmc.port, bmc.username, bmc.cipher_suite)

    assert commits.run(login) == ("ipmi", "10.0.0.7", 6230, "ada", 17)
    assert commits.run(lambda run: Ledger(run).bmc(machine_id + 1)) is None
    assert not commits.run(lambda run: Ledger(run).boots_uefi(machine_id))
    assert commits.run(lambda run: Ledger(run).observing()) is None
    with any_database.write() as session:
        session.add(Sighting(mac=MAC, arch="uefi-x64", first_seen=T0, last_seen=T0))
        observing.begin(session, reason="Restored.", actor="user:ada", now=T0)
    assert commits.run(lambda run: Ledger(run).boots_uefi(machine_id))
    held = commits.run(lambda run: Ledger(run).observing())
    assert held is not None
    assert held.sentence.startswith("The appliance only observes since 2026-11-24")
