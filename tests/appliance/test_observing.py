"""Observing only: nothing is switched, netbooted or begun until told to go on; what is seen is still recorded."""

from __future__ import annotations

import datetime as dt

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from pxeapp.appliance import observing
from pxeapp.appliance.observing import ObservesOnly
from pxeapp.audit import AuditRow
from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.cli import main
from pxeapp.db import Database
from pxeapp.db import now as present
from pxeapp.doctor import work
from pxeapp.doctor.finding import Patient
from pxeapp.machines.lifecycle import State
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.doctor.cases import sees
from tests.provisioning.rack import Rack, rack, rack_database_url

__all__ = ["rack", "rack_database_url"]


def hold(database: Database, reason: str = "Restored from a backup") -> None:
    with database.write() as session:
        observing.begin(session, reason=reason, actor="user:ada", now=present())


def go_on(database: Database) -> None:
    with database.write() as session:
        assert observing.end(session, actor="user:ada", now=present())


def commands(rack: Rack) -> list[str]:
    return [each["command"] for each in rack.bmc.received()]


def test_no_deployment_begins_and_the_refusal_says_how_to_go_on(rack: Rack) -> None:
    hold(rack.provisioner.database)
    with pytest.raises(ObservesOnly, match=r"Restored from a backup\. .*pxeapp resume"):
        rack.deploy()
    assert rack.machine().state == State.ENROLLED
    go_on(rack.provisioner.database)
    assert rack.deploy()


def test_no_power_command_is_ordered(rack: Rack) -> None:
    database = rack.provisioner.database
    hold(database)
    with pytest.raises(ObservesOnly), database.write() as session:
        power.request(session, machine_id=rack.machine().id, goal="off", requested_by="user:ada", now=present())
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(PowerAction)) == 0


def test_an_order_that_waited_is_not_begun_and_goes_on_afterwards(rack: Rack) -> None:
    before = commands(rack)
    number = rack.deploy()
    hold(rack.provisioner.database)
    rack.look(number)
    waiting = rack.deployment(number)
    assert waiting.step == Step.REQUESTED
    assert "pxeapp resume" in waiting.progress
    assert commands(rack) == before
    go_on(rack.provisioner.database)
    rack.look(number, after=dt.timedelta(minutes=1))
    assert rack.step(number) == Step.ARMED


def test_an_action_in_hand_sends_nothing_more_but_is_still_observed(rack: Rack) -> None:
    before = commands(rack)
    number = rack.deploy()
    rack.look(number, after=dt.timedelta())
    (hand,) = rack.carrier.claim(limit=5)
    hold(rack.provisioner.database)
    for _ in range(3):
        assert rack.carrier.step(hand)
    assert commands(rack) == before
    with rack.provisioner.database.read() as session:
        action = session.get_one(PowerAction, hand.action_id)
    assert (action.phase, action.error_code) == ("off_due", "observing")
    assert rack.machine().power == "on"  # it looked
    go_on(rack.provisioner.database)
    while rack.carrier.step(hand):
        pass
    with rack.provisioner.database.read() as session:
        ended = session.get_one(PowerAction, hand.action_id)
    assert (ended.outcome, ended.error_code) == ("done", "")


def test_no_installer_is_netbooted_but_a_running_one_goes_on_reporting(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    installing = rack.simulated()
    installing.netboot()
    installing.fetch_kernel()
    installing.fetch_answer()
    hold(rack.provisioner.database)
    assert installing.report("started") == 200
    assert rack.step(number) == Step.INSTALLING
    assert installing.report("installed") == 200
    assert installing.report("first_boot") == 200
    rack.look(number)
    assert rack.machine().state == State.ACTIVE


def test_an_armed_machine_boots_from_its_disk_meanwhile(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    hold(rack.provisioner.database)
    machine = rack.simulated()
    machine.netboot()
    assert not machine.was_given_an_installer
    assert rack.deployment(number).grant == "armed"
    go_on(rack.provisioner.database)
    machine.netboot()
    assert machine.was_given_an_installer


def test_both_ways_are_in_the_audit_and_repeating_them_changes_nothing(database: Database) -> None:
    hold(database, "First")
    with database.read() as session:
        since = observing.present(session)
    hold(database, "  Second\n reason ")
    with database.read() as session:
        again = observing.present(session)
    assert since is not None
    assert again is not None
    assert (again.since, again.reason) == (since.since, "Second reason.")
    go_on(database)
    with database.write() as session:
        assert not observing.end(session, actor="user:ada", now=present())
    with database.read() as session:
        found = session.execute(select(AuditRow.action, AuditRow.actor).order_by(AuditRow.id)).all()
    assert found == [
        ("appliance.observe", "user:ada"),
        ("appliance.observe", "user:ada"),
        ("appliance.resume", "user:ada"),
    ]


@sees("observing only", "ok", "warn")
def test_the_commands_say_what_they_did_and_the_doctor_warns(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = rack.provisioner.settings
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(settings.data_dir))
    held = CliRunner().invoke(main, ["observe", "--reason", "Moving to another host"])
    assert held.exit_code == 0
    assert "Moving to another host." in held.output
    patient = Patient(settings, rack.provisioner.database, present())
    finding = work.observing(patient)
    assert (finding.status, "pxeapp resume" in finding.attempt) == ("warn", True)
    refused = CliRunner().invoke(main, ["machine", "deploy", "node1", "--release", "rocky-9", "--role", "compute"])
    assert refused.exit_code == 1
    assert "pxeapp resume" in refused.output
    assert "again" in CliRunner().invoke(main, ["resume"]).output
    assert "already" in CliRunner().invoke(main, ["resume"]).output
    assert work.observing(patient).status == "ok"
    with rack.provisioner.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Deployment)) == 0
