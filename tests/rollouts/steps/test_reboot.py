"""A restart is proved by the boot id; a machine that does not obey is switched by its BMC, once, whoever crashes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.db import Database
from pxeapp.errors import PxeError, Unavailable
from pxeapp.machines.models import Bmc
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.steps.reboot import PATIENCE, RESTART, Reboot
from tests.provisioning.conftest import add_machine
from tests.rollouts.steps.subjects import T0, subject

MINUTE = dt.timedelta(minutes=1)


@dataclass
class Ran:
    exit_code: int
    output: str


@dataclass
class Box:
    """A machine that obeys, or does not; `boots` counts how often it came up."""

    reachable: bool = True
    obeys: bool = True
    up: bool = True
    boots: int = 1
    asked: int = 0
    troubles: list[PxeError] = field(default_factory=list)

    def reaches(self, machine_id: int) -> bool:
        return self.reachable

    def run(self, machine_id: int, command: str, timeout_s: float) -> Ran:
        if self.troubles:
            raise self.troubles.pop()
        if not self.up:
            raise Unavailable("It does not answer.")
        if command == RESTART:
            self.asked += 1
            if self.obeys:
                self.up = False
            return Ran(0, "")
        return Ran(0, f"boot-{self.boots}\n")

    def boot_id(self, machine_id: int) -> str:
        return self.run(machine_id, "its boot id", 1).output.strip()

    def comes_back(self) -> None:
        self.up, self.boots = True, self.boots + 1


@pytest.fixture
def machine_id(database: Database) -> int:
    with database.write() as session:
        machine = add_machine(session, state="servicing")
        machine.bmc = Bmc(type="fake", address="node1")
        return machine.id


def go(
    step: Reboot, about: Subject, memory: Outcome | None = None, *, at: dt.datetime = T0, looks: int = 10
) -> Outcome:
    """Look until it waits for something outside."""
    outcome = memory or Waiting("")
    for _ in range(looks):
        outcome = step.look(about, outcome.memory, now=at)
        if not isinstance(outcome, Waiting) or outcome.again:
            break
    return outcome


def actions(database: Database) -> list[PowerAction]:
    with database.read() as session:
        return list(session.scalars(select(PowerAction)))


def test_it_is_asked_once_and_is_back_with_another_boot_id(database: Database, machine_id: int) -> None:
    box = Box()
    step, about = Reboot(database, box), subject("reboot", machine_id)
    waits = go(step, about)
    assert (box.asked, isinstance(waits, Waiting)) == (1, True)
    waits = go(step, about, waits, at=T0 + MINUTE)
    assert "not come back yet" in waits.says
    box.comes_back()
    done = go(step, about, waits, at=T0 + 2 * MINUTE)
    assert isinstance(done, Done)
    assert (done.evidence["before"], done.evidence["boot_id"]) == ("boot-1", "boot-2")
    assert box.asked == 1
    assert not actions(database)


def test_a_crash_after_it_was_asked_does_not_restart_it_twice(database: Database, machine_id: int) -> None:
    box = Box()
    step, about = Reboot(database, box), subject("reboot", machine_id)
    before = go(step, about, looks=2)  # that it is going to be asked is written down
    step.look(about, before.memory, now=T0)  # it is asked, and what was found is lost
    box.comes_back()
    done = step.look(about, before.memory, now=T0 + MINUTE)
    assert isinstance(done, Done)
    assert box.asked == 1


def test_one_that_does_not_obey_is_switched_by_its_bmc_once(database: Database, machine_id: int) -> None:
    box = Box(obeys=False)
    step, about = Reboot(database, box), subject("reboot", machine_id)
    waits = go(step, about)
    late = T0 + PATIENCE
    first = step.look(about, waits.memory, now=late)
    again = step.look(about, waits.memory, now=late)  # a crash lost the first one's memory
    assert first.memory["power_action"] == again.memory["power_action"]
    assert [action.goal for action in actions(database)] == ["cycle"]
    with database.write() as session:
        power.end(session, session.get_one(PowerAction, again.memory["power_action"]), outcome=power.DONE, now=late)
    box.up = False
    assert "does not answer yet" in step.look(about, again.memory, now=late).says
    box.comes_back()
    assert isinstance(step.look(about, again.memory, now=late + MINUTE), Done)


def test_one_that_cannot_be_looked_into_is_switched_and_that_must_do(database: Database, machine_id: int) -> None:
    step, about = Reboot(database, Box(reachable=False)), subject("reboot", machine_id)
    waits = go(step, about)
    with database.write() as session:
        power.end(session, session.get_one(PowerAction, waits.memory["power_action"]), outcome=power.DONE, now=T0)
    done = step.look(about, waits.memory, now=T0)
    assert isinstance(done, Done)
    assert done.says == "Its BMC saw it off and on again."


def test_a_bmc_that_does_not_do_it_is_named(database: Database, machine_id: int) -> None:
    step, about = Reboot(database, Box(reachable=False)), subject("reboot", machine_id)
    waits = go(step, about)
    with database.write() as session:
        power.end(session, session.get_one(PowerAction, waits.memory["power_action"]), outcome=power.FAILED, now=T0)
    found = step.look(about, waits.memory, now=T0)
    assert isinstance(found, Failed)
    assert found.code == "bmc_failed"


def test_without_ssh_and_without_a_bmc_a_person_must(database: Database) -> None:
    with database.write() as session:
        number = add_machine(session, state="servicing").id
    found = Reboot(database, Box(reachable=False)).look(subject("reboot", number), {}, now=T0)
    assert isinstance(found, Failed)
    assert (found.code, found.hint) == ("no_way_to_reboot", "Restart it by hand, then retry.")


@pytest.mark.parametrize(
    ("reboot", "needed", "restarts"),
    [("needed", False, False), ("needed", True, True), ("never", True, False), ("always", False, True)],
)
def test_after_a_patch_it_restarts_as_the_rollout_says(
    database: Database, machine_id: int, reboot: str, needed: bool, restarts: bool
) -> None:
    box = Box()
    earlier = {"patch": {"reboot_needed": needed}}
    about = subject("reboot", machine_id, action={"patch": {}}, reboot=reboot, earlier=earlier)
    assert isinstance(go(Reboot(database, box), about), Waiting) is restarts
    assert box.asked == int(restarts)
