"""`explain`: for each way to be stuck, what was seen last, what should have come, how long it waits, and why."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass

import click
import pytest
from sqlalchemy.orm import Session

from pxeapp.bmc.errors import BmcError
from pxeapp.bmc.models import PowerAction
from pxeapp.cli import main
from pxeapp.db import Database
from pxeapp.machines import sightings, timeline
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Bmc, Machine
from pxeapp.provisioning import activity, causes, explain, lifecycle, steps
from pxeapp.provisioning.explain import Explanation
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.provisioning.conftest import ADDRESS, MAC, T0, add_deployment, add_machine

MINUTE = dt.timedelta(minutes=1)
NOW = T0 + 40 * MINUTE
Prepare = Callable[[Session, Machine, Deployment], None]


def at(step: Step) -> Prepare:
    """Everything up to this step was seen, at T0 + 30 minutes."""

    def prepare(session: Session, _machine: Machine, deployment: Deployment) -> None:
        if step != Step.REQUESTED:
            message = f"{step} was seen"
            steps.advance(session, deployment, step, now=T0 + 30 * MINUTE, source="test", message=message)

    return prepare


def bmc_says(code: str) -> Prepare:
    """The power cycle is under way and its BMC makes trouble."""

    def prepare(session: Session, machine: Machine, deployment: Deployment) -> None:
        at(Step.ARMED)(session, machine, deployment)
        machine.bmc = Bmc(type="ipmi", address="10.0.0.7")
        action = PowerAction(
            machine_id=machine.id,
            goal="netboot",
            requested_by="system:reconciler",
            requested_at=T0,
            phase_since=T0,
            due_at=T0,
            deadline=T0 + 30 * MINUTE,
            error_code=code,
            error="what the BMC said",
        )
        session.add(action)
        session.flush()
        deployment.power_action_id = action.id

    return prepare


def reported_failure(session: Session, machine: Machine, deployment: Deployment) -> None:
    at(Step.INSTALLING)(session, machine, deployment)
    lifecycle.fail(session, machine, deployment, code="installer_failed", reason="No space left on device", now=NOW)


def asks_for_a_loader(times: int) -> Prepare:
    """The installed machine comes to the network again and again."""

    def prepare(session: Session, machine: Machine, deployment: Deployment) -> None:
        at(Step.INSTALLED)(session, machine, deployment)
        sightings.record(session, mac=machine.mac, machine_id=machine.id, address=ADDRESS, now=NOW)
        for _ in range(times):
            sightings.count_loader_request(session, mac=machine.mac)

    return prepare


def sets_up(session: Session, machine: Machine, deployment: Deployment) -> None:
    at(Step.INSTALLED)(session, machine, deployment)
    deployment.progress = "The database answers"


@dataclass(frozen=True)
class Situation:
    """One way to be stuck, and what explain must say of it."""

    prepare: Prepare
    code: str
    evidence: str
    expects: str
    first_cause: str


SITUATIONS: dict[str, Situation] = {
    "no worker": Situation(at(Step.REQUESTED), "not_started", "nothing yet", "arms it", "worker is not running"),
    "BMC unreachable": Situation(
        bmc_says("unreachable"), "bmc_unreachable", "armed was seen", "BMC confirms", "no power or its network cable"
    ),
    "wrong BMC password": Situation(
        bmc_says("wrong_password"), "bmc_wrong_password", "armed was seen", "BMC confirms", "User name or password"
    ),
    "power unconfirmed": Situation(
        bmc_says("unconfirmed"), "bmc_unconfirmed", "armed was seen", "BMC confirms", "the machine does not do it"
    ),
    "boot device forgotten": Situation(
        bmc_says("boot_device"), "bmc_boot_device", "armed was seen", "BMC confirms", "forgets the one-time boot device"
    ),
    "power not observed": Situation(
        at(Step.ARMED), "power_unconfirmed", "armed was seen", "BMC confirms", "power state did not follow"
    ),
    "no DHCP seen": Situation(
        at(Step.POWER_CYCLED), "no_dhcp", "power_cycled was seen", "a DHCP request", "boots from its disk first"
    ),
    "DHCP but no TFTP": Situation(
        at(Step.DHCP_SEEN), "no_loader", "dhcp_seen was seen", "a boot loader", "Another DHCP server"
    ),
    "loader but no kernel": Situation(
        at(Step.NBP_FETCHED), "no_kernel", "nbp_fetched was seen", "kernel and initrd", "reach our node address"
    ),
    "kernel but no answer file": Situation(
        at(Step.KERNEL_FETCHED), "no_answer", "kernel_fetched was seen", "its answer file", "too little memory"
    ),
    "installer silent": Situation(
        at(Step.INSTALLING), "installer_silent", "installing was seen", "that it finished", "waits for an answer"
    ),
    "installer reported failure": Situation(
        reported_failure, "installer_failed", "installing was seen", "that it finished", "The installer says why"
    ),
    "installed but not called in": Situation(
        at(Step.INSTALLED), "no_first_boot", "installed was seen", "calls in from its own disk", "boot loader was not"
    ),
    "sets up its role": Situation(
        sets_up, "setup_slow", "installed was seen", "its role is set up", "waits for another node"
    ),
    "keeps asking for a loader": Situation(
        asks_for_a_loader(3), "loader_loop", "installed was seen", "calls in from its own disk", "falls through"
    ),
}


def explained(database: Database, prepare: Prepare, now: dt.datetime = NOW) -> Explanation:
    with database.write() as session:
        machine = add_machine(session)
        prepare(session, machine, add_deployment(session, machine))
    with database.read() as session:
        return explain.explain(session, session.query(Machine).one(), now)


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_way_to_be_stuck_is_explained(database: Database, name: str) -> None:
    situation = SITUATIONS[name]
    why = explained(database, situation.prepare)
    assert why.code == situation.code
    assert situation.evidence in why.last_evidence
    assert situation.expects in why.expected_next
    assert why.waited_s == (40 if why.step == Step.REQUESTED else 10) * 60
    assert situation.first_cause in why.causes[0].cause
    assert all(cause.attempt for cause in why.causes)
    assert "node1" in why.summary
    assert why.to_dict()["causes"][0]["try"] == why.causes[0].attempt


def test_while_its_role_is_set_up_that_is_what_it_is_at(database: Database) -> None:
    why = explained(database, sets_up)
    assert why.activity is not None
    assert why.activity.what == "Sets up its role base: The database answers"
    assert "/var/log/pxeapp-role.log" in why.activity.log
    assert "pxeapp-role" in why.activity.retry
    assert why.deadline == why.activity.deadline.isoformat() == (T0 + 60 * MINUTE).isoformat()
    assert "has been setting up its role base for 600 s: The database answers" in why.summary
    shown = why.to_dict()
    assert shown["activity"]["what"] == why.activity.what
    with database.read() as session:
        machine = session.query(Machine).one()
        assert activity.of_machines(session, [machine])[machine.id] == why.activity


def test_every_step_of_a_running_attempt_is_an_activity_and_an_ended_one_is_none(database: Database) -> None:
    assert set(activity.SAID) == set(Step)
    over = explained(database, reported_failure)
    assert (over.activity, over.deadline, over.to_dict()["activity"]) == (None, None, None)


def test_no_two_situations_have_the_same_first_cause() -> None:
    firsts = [causes.of(situation.code)[0].cause for situation in SITUATIONS.values()]
    assert len(set(firsts)) == len(firsts)


def codes() -> set[str]:
    """Every code that a deployment can end or stall with."""
    stalls = {wait.stall_code for wait in steps.WAITS.values()}
    bmc = {f"bmc_{kind.code}" for kind in BmcError.__subclasses__()}
    reported = {"installer_failed", "setup_failed"}
    return stalls | bmc | reported | {"bmc_failed", "bmc_cancelled", "second_claimant", "loader_loop", "aborted"}


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_has_causes_of_its_own_kind_with_something_to_try(code: str) -> None:
    found = causes.of(code)
    assert found
    assert found != causes.GENERIC
    assert len({cause.cause for cause in found}) == len(found)
    assert all(cause.cause.endswith(".") and cause.attempt.endswith((".", "`.")) for cause in found)


def commands(group: click.Command, path: str = "pxeapp") -> set[str]:
    found = {path}
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found |= commands(command, f"{path} {name}")
    return found


def test_what_it_says_to_try_exists() -> None:
    said = [cause.attempt for found in (*causes.CAUSES.values(), causes.GENERIC) for cause in found]
    mentioned = {words for text in said for words in re.findall(r"`(pxeapp [^`]*)`", text)}
    known = commands(main)
    for words in mentioned:
        plain = " ".join(word for word in words.split() if word != "NAME" and not word.startswith("-"))
        assert plain in known, words
    assert mentioned


def test_strangers_seen_meanwhile_come_before_what_is_only_guessed(database: Database) -> None:
    def prepare(session: Session, machine: Machine, deployment: Deployment) -> None:
        at(Step.POWER_CYCLED)(session, machine, deployment)
        sightings.record(session, mac="52:54:00:99:99:99", address=ADDRESS, now=NOW)

    why = explained(database, prepare)
    assert "52:54:00:99:99:99" in why.causes[0].cause
    assert "correct its boot MAC" in why.causes[0].attempt


def test_a_machine_that_its_bmc_says_is_off_is_not_blamed_on_the_network(database: Database) -> None:
    def prepare(session: Session, machine: Machine, deployment: Deployment) -> None:
        at(Step.POWER_CYCLED)(session, machine, deployment)
        machine.power = "off"

    assert explained(database, prepare).causes[0].cause == "Its BMC says that it is off."


def test_one_visit_to_the_network_after_the_installation_is_said_and_is_no_loop(database: Database) -> None:
    why = explained(database, asks_for_a_loader(1))
    assert why.code == "no_first_boot"
    assert "1 more time(s)" in why.causes[0].cause


@pytest.mark.parametrize(("pause", "loops"), [(dt.timedelta(minutes=5), True), (dt.timedelta(days=30), False)])
def test_an_active_machine_that_reboots_now_and_then_is_not_in_a_loop(
    database: Database, pause: dt.timedelta, loops: bool
) -> None:
    last = T0 + 12 * pause

    def prepare(session: Session, machine: Machine, deployment: Deployment) -> None:
        at(Step.VERIFIED)(session, machine, deployment)
        lifecycle.succeed(session, machine, deployment, now=T0 + 35 * MINUTE)
        for index in range(1, 13):
            sightings.record(session, mac=MAC, machine_id=machine.id, now=T0 + index * pause)
            if (count := sightings.count_loader_request(session, mac=MAC)) in (1, 3, 10):
                moment = T0 + index * pause
                timeline.note(
                    session,
                    machine_id=machine.id,
                    at=moment,
                    source="http",
                    kind="loader_request",
                    message="",
                    count=count,
                )

    why = explained(database, prepare, last)
    assert why.state == State.ACTIVE
    assert why.code == ("loader_loop" if loops else "")
    assert bool(why.causes) == loops


def test_a_loop_that_is_over_is_not_reported_any_more(database: Database) -> None:
    def prepare(session: Session, machine: Machine, deployment: Deployment) -> None:
        asks_for_a_loader(12)(session, machine, deployment)
        lifecycle.succeed(session, machine, deployment, now=NOW)

    assert explained(database, prepare, NOW + dt.timedelta(days=1)).code == ""


def test_a_machine_that_was_never_deployed_is_said_to_boot_from_its_disk(database: Database) -> None:
    with database.write() as session:
        add_machine(session, state=State.ENROLLED)
    with database.read() as session:
        why = explain.explain(session, session.query(Machine).one(), NOW)
    assert "boots from its own disk" in why.summary
    assert (why.code, why.causes) == ("", ())


def test_a_finished_attempts_wait_ends_with_it(database: Database) -> None:
    why = explained(database, reported_failure, NOW + dt.timedelta(days=3))
    assert why.waited_s == 600
    assert "No space left on device" in why.summary
