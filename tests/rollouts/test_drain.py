"""Drains by a command and none at all, and what is remembered of a machine before anything is done to it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pxeapp.bmc.models import BmcFact, BmcOrder, SelEntry
from pxeapp.db import Database
from pxeapp.errors import Unavailable
from pxeapp.machines.models import Bmc
from pxeapp.nodes.errors import NodeRefused
from pxeapp.nodes.jobs import Job
from pxeapp.rollouts.port import Done, Failed, Waiting
from tests.rollouts.draining import T0, Bench, Course, Ran, add_machine

COMMAND = {"command": {"drain": "drain-me", "undrain": "undrain-me", "check": "is-drained", "timeout": "10m"}}


def course(database: Database, said: dict[str, Any], **more: Any) -> Course:
    return Course(database, None, Bench(), said, add_machine(database), **more)


def running_then(code: int, log: str = "") -> list[Job]:
    return [Job("running", None, "working\n", 8), Job("ended", code, log, 8 + len(log))]


def test_nothing_is_drained_without_ssh_and_without_a_bmc(database: Database) -> None:
    outcome = course(database, {"none": {}}).run()
    assert isinstance(outcome, Done)
    assert outcome.memory == {"before": True, "sel_seen": 0, "disabled_by_us": []}


def test_boot_id_and_failed_units_are_remembered(database: Database) -> None:
    one = course(database, {"none": {}})
    one.bench.boot_ids[one.machine_id] = "b00t"
    units = "smartd.service loaded failed failed Disks\nfoo@1.service loaded failed failed Foo\n"
    one.bench.answers["systemctl list-units --state=failed --plain --no-legend --no-pager"] = [Ran(0, units)]
    outcome = one.run()
    assert outcome.memory["boot_id"] == "b00t"
    assert outcome.memory["failed_units"] == ["smartd.service", "foo@1.service"]


@pytest.mark.parametrize(
    ("error", "looks"),
    [(Unavailable("No answer."), 3), (NodeRefused("It lets nobody in."), 1)],
    ids=["away", "refused"],
)
def test_a_machine_that_cannot_be_looked_into_is_drained_all_the_same(
    database: Database, error: Any, looks: int
) -> None:
    one = course(database, {"none": {}})
    one.bench.boot_ids[one.machine_id] = "b00t"
    one.bench.away = error
    outcome = one.run()
    assert isinstance(outcome, Done)
    assert "boot_id" not in outcome.memory
    assert len(one.says) == looks


def test_the_event_log_is_read_before_where_a_gate_compares_with_it(database: Database) -> None:
    one = course(database, {"none": {}}, gates=({"sel": {}},))
    with database.write() as session:
        session.add(Bmc(machine_id=one.machine_id, type="fake", address="10.0.0.7", port=623))
    found = one.look()
    assert isinstance(found, Waiting)
    assert found.says == "Before it is drained: Its event log is being read."
    one.look()
    with database.write() as session:
        (order,) = session.query(BmcOrder).all()  # asked once, however often it is looked at
        order.outcome, order.finished_at = "done", one.now
        session.add(BmcFact(machine_id=one.machine_id, kind="sel", seen_at=one.now, value={}))
        session.add(
            SelEntry(machine_id=one.machine_id, raw="00", record=1, sensor="Fan 1", event="lost", severity="critical",
                     seen_at=one.now)
        )  # fmt: skip
    outcome = one.look()
    assert isinstance(outcome, Done)
    assert outcome.memory["sel_seen"] == 1


def test_a_bmc_that_does_not_answer_holds_a_drain_for_some_minutes_only(database: Database) -> None:
    one = course(database, {"none": {}}, gates=({"sel": {}},))
    with database.write() as session:
        session.add(Bmc(machine_id=one.machine_id, type="fake", address="10.0.0.7", port=623))
    assert isinstance(one.look(), Waiting)
    one.now = T0 + dt.timedelta(minutes=5)
    assert isinstance(one.look(), Done)


def test_a_command_runs_as_a_job_and_its_check_is_asked_until_it_is_content(database: Database) -> None:
    one = course(database, COMMAND)
    one.bench.jobs["drain-me"] = running_then(0, "moved 3 things\n")
    one.bench.answers["is-drained"] = [Ran(1, "2 left"), Ran(0)]
    outcome = one.run()
    assert isinstance(outcome, Done)
    assert one.bench.started == [("pxeapp-rollout-7-3-drain-1", "drain-me")]
    assert "Its check gives 1: 2 left" in one.says
    assert one.log == "working\nmoved 3 things\n"
    one.bench.jobs["undrain-me"] = running_then(0)
    assert isinstance(one.run("undrain"), Done)
    assert one.bench.started[1] == ("pxeapp-rollout-7-3-undrain-1", "undrain-me")
    assert one.bench.stopped == []


def test_a_crash_after_each_look_begins_the_command_once(database: Database) -> None:
    one = course(database, COMMAND)
    one.bench.jobs["drain-me"] = running_then(0)
    for _ in range(30):
        before = dict(one.memory)
        one.look()
        one.memory = before
        if isinstance(one.look(), Done):
            break
    assert len(one.bench.started) == 1


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (Job("ended", 3, "no quorum\n", 10), "Its drain command gave 3. no quorum"),
        (Job("lost", None, "", 0), "Its drain command was lost: the machine was restarted, or somebody ended it."),
    ],
    ids=["a code", "lost"],
)
def test_a_command_that_fails_fails_the_step(database: Database, job: Job, says: str) -> None:
    one = course(database, COMMAND)
    one.bench.jobs["drain-me"] = [job]
    outcome = one.run()
    assert isinstance(outcome, Failed)
    assert outcome.says == says


def test_a_command_that_takes_too_long_is_ended(database: Database) -> None:
    one = course(database, COMMAND)
    one.bench.jobs["drain-me"] = [Job("running", None, "", 0)]
    for _ in range(5):
        one.look()
    one.now = T0 + dt.timedelta(minutes=11)
    outcome = one.look()
    assert isinstance(outcome, Failed)
    assert outcome.code == "command_timeout"
    assert one.bench.stopped == ["pxeapp-rollout-7-3-drain-1"]


def test_an_aborted_drain_is_ended_before_it_is_undone(database: Database) -> None:
    one = course(database, COMMAND)
    one.bench.jobs["drain-me"] = [Job("running", None, "", 0)]
    for _ in range(5):
        one.look()
    one.earlier["drain"] = one.memory
    one.bench.jobs["undrain-me"] = running_then(0)
    assert isinstance(one.run("undrain"), Done)
    assert one.bench.stopped == ["pxeapp-rollout-7-3-drain-1"]


def test_an_unknown_cloud_fails_with_its_name(database: Database) -> None:
    outcome = course(database, {"openstack": {"cloud": "nowhere"}}).run()
    assert isinstance(outcome, Failed)
    assert "There is no cloud 'nowhere'." in outcome.says
