"""Workers killed, frozen and hung in the middle of power cycles: the BMCs' own logs say that nothing came twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.lab.fleet.bmcs import BmcFleet, SimulatedBmc
from tests import sweep
from tests.bmc.child import FAIL_POINTS
from tests.bmc.rack import PASSWORD, USER, Rack, Site, Worker
from tests.bmc.simulator import wait_until

pytestmark = pytest.mark.network
TAKES_S = 0.2  # well below the hurried settling time
EVERY_POINT = [
    point.format(f"{stage}_intended")
    for stage in ("off", "boot", "on")
    for point in ("before {}", "after {}", "after the send of {}", "after the record of {}")
]
FEW_POINTS = [
    "before off_intended",
    "after off_intended",
    "after the send of on_intended",
    "after the record of boot_intended",
]
POINTS = EVERY_POINT if sweep.FULL else FEW_POINTS


@pytest.fixture
def fleet() -> Iterator[BmcFleet]:
    with BmcFleet(username=USER, password=PASSWORD) as fleet:
        yield fleet


@pytest.fixture
def wishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test says who is to die at which point; asked for before `rack`, so that its workers know."""
    folder = tmp_path / "wishes"
    folder.mkdir()
    monkeypatch.setenv(FAIL_POINTS, str(folder))
    return folder


def machines(site: Site, fleet: BmcFleet, count: int) -> dict[int, SimulatedBmc]:
    """Machines that are on, by their number in the database."""
    found = {}
    for number in range(count):
        bmc = fleet.add(f"n{number}")
        bmc.power, bmc.takes_s = True, TAKES_S
        found[site.behind(number, bmc)] = bmc
    return found


def judge(site: Site, action_id: int, bmc: SimulatedBmc, told: list[str]) -> PowerAction:
    """One off and one on at most, in this order; done means done; what is not done says that it is not known."""
    action = site.action(action_id)
    powers = [what for what in told if what.startswith("power")]
    assert powers == ["power off", "power on"][: len(powers)], (told, action.log)
    if action.outcome == power.DONE:
        assert len(powers) == 2
        assert bmc.power
        assert bmc.booted_from == "network"
    else:
        assert action.outcome == power.UNCONFIRMED, action.error
        assert any("crash" in entry["note"] for entry in action.log), "only who lost two intents is left to an operator"
    return action


@pytest.mark.soak
def test_killed_at_each_point_around_each_command(wishes: Path, site: Site, fleet: BmcFleet, rack: Rack) -> None:
    bmcs = machines(rack, fleet, len(POINTS))
    wait_until(lambda: all(rack.power_of(machine) == "on" for machine in bmcs), seconds=60, what="a first look")
    actions = {}
    for machine_id, point in zip(bmcs, POINTS, strict=True):
        (wishes / str(machine_id)).write_text(point)
        actions[machine_id] = rack.order(machine_id, "netboot")
        wait_until(lambda: not list(wishes.iterdir()), seconds=30, what="somebody to die there")
    wait_until(lambda: rack.ended(*actions.values()), seconds=60, what="every action to end")
    ended = [judge(rack, actions[machine_id], bmc, bmc.commands()) for machine_id, bmc in bmcs.items()]
    assert sum(action.outcome == power.DONE for action in ended) >= len(POINTS) // 2


@pytest.mark.soak
def test_killed_at_random_points(rack: Rack, fleet: BmcFleet) -> None:
    chance = random.Random(9)
    bmcs = machines(rack, fleet, sweep.size(6, 20))
    killed = 0
    for _ in range(sweep.size(1, 30)):
        before = {machine_id: len(bmc.received) for machine_id, bmc in bmcs.items()}
        for bmc in bmcs.values():
            bmc.power = True
        actions = {machine_id: rack.order(machine_id, "netboot") for machine_id in bmcs}
        for _ in range(sweep.size(4, 8)):
            time.sleep(chance.uniform(0.1, 0.8))
            for pid in rack.watchdog.pids[: chance.choice((1, 1, 2))]:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        wait_until(partial(rack.ended, *actions.values()), seconds=60, what="every action to end")
        for machine_id, bmc in bmcs.items():
            judge(rack, actions[machine_id], bmc, bmc.commands()[before[machine_id] :])
    assert killed >= sweep.size(4, 200)


@pytest.mark.soak
def test_worker_stopped_in_the_middle_is_fenced_when_it_wakes(site: Site, fleet: BmcFleet) -> None:
    chance = random.Random(11)
    bmcs = machines(site, fleet, 4)
    overtaken = 0
    with Worker() as other:
        sleeper = Worker()
        try:
            wait_until(lambda: all(site.power_of(machine) == "on" for machine in bmcs), seconds=60, what="a first look")
            for turn in range(sweep.size(12, 40)):
                if overtaken and turn >= sweep.size(2, 40):
                    break  # it was stopped in the middle of something often enough
                if sleeper.process.poll() is not None:  # it found that its threads had stood still, and ended
                    sleeper = Worker()
                before = {machine_id: len(bmc.received) for machine_id, bmc in bmcs.items()}
                for bmc in bmcs.values():
                    bmc.power = True
                actions = {machine_id: site.order(machine_id, "netboot") for machine_id in bmcs}
                time.sleep(chance.uniform(0.1, 1.5))
                _stop_between_transactions(sleeper.pid, site)
                held = [action for action in actions.values() if _is_held_by(site.action(action), sleeper.pid)]
                wait_until(partial(site.ended, *actions.values()), seconds=60, what="the other to end it")
                rows = {action: (site.action(action).lease_epoch, site.action(action).log) for action in held}
                told = {machine_id: bmc.commands() for machine_id, bmc in bmcs.items()}
                os.kill(sleeper.pid, signal.SIGCONT)
                time.sleep(0.6)
                assert told == {machine_id: bmc.commands() for machine_id, bmc in bmcs.items()}
                assert rows == {action: (site.action(action).lease_epoch, site.action(action).log) for action in held}
                for machine_id, bmc in bmcs.items():
                    judge(site, actions[machine_id], bmc, told[machine_id][before[machine_id] :])
                overtaken += len(held)
            assert other.process.poll() is None
            assert overtaken, "it slept on something"
        finally:
            sleeper.__exit__()


def test_worker_that_stands_still_before_a_command_leaves_does_not_send_it_when_it_wakes(
    wishes: Path, site: Site, fleet: BmcFleet
) -> None:
    """The other one has waited, seen that nothing happened, and sent it."""
    bmcs = machines(site, fleet, 12)
    fresh = iter(bmcs.items())
    points = ["after off_intended", "after on_intended", "after the send of on_intended"]
    with ExitStack() as running:
        workers = [running.enter_context(Worker()) for _ in range(2)]
        wait_until(lambda: all(site.power_of(machine) == "on" for machine in bmcs), seconds=60, what="a first look")
        while points:
            machine_id, bmc = next(fresh)
            (wishes / str(machine_id)).write_text(f"stop {points[0]}")
            action_id = site.order(machine_id, "netboot")
            wait_until(lambda: any(_stopped(worker) for worker in workers), seconds=30, what="one of them to stop")
            sleeper = next(worker for worker in workers if _stopped(worker))
            if _database_is_locked(site):  # another of its threads was writing: nobody can overtake it, so try again
                os.kill(sleeper.pid, signal.SIGCONT)
                wait_until(partial(site.ended, action_id), seconds=60, what="the action to end")
                continue
            points.pop(0)
            wait_until(partial(site.ended, action_id), seconds=60, what="the other to end it")
            assert judge(site, action_id, bmc, bmc.commands()).outcome == power.DONE
            before = (site.action(action_id).lease_epoch, site.action(action_id).log)
            os.kill(sleeper.pid, signal.SIGCONT)
            time.sleep(0.6)
            assert bmc.commands() == ["power off", "boot network", "power on"]
            assert before == (site.action(action_id).lease_epoch, site.action(action_id).log)
            if sleeper.process.poll() is not None:  # it found that its threads had stood still, and ended
                workers[workers.index(sleeper)] = running.enter_context(Worker())


def _stopped(worker: Worker) -> bool:
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _stop_between_transactions(pid: int, site: Site) -> None:
    """Whoever sleeps within a transaction holds SQLite's lock: nobody overtakes it, until a watchdog kills it."""
    os.kill(pid, signal.SIGSTOP)
    while _database_is_locked(site):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
        os.kill(pid, signal.SIGSTOP)


def _database_is_locked(site: Site) -> bool:
    with closing(sqlite3.connect(site.database.url.removeprefix("sqlite:///"), timeout=0.5)) as probe:
        try:
            probe.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def _is_held_by(action: PowerAction, pid: int) -> bool:
    return action.outcome is None and (action.lease_owner or "").endswith(f":{pid}")


def test_frozen_workers_are_replaced_in_the_middle_of_power_cycles(rack: Rack, fleet: BmcFleet) -> None:
    bmcs = machines(rack, fleet, 6)
    wait_until(lambda: all(rack.power_of(machine) == "on" for machine in bmcs), seconds=60, what="a first look")
    actions = {machine_id: rack.order(machine_id, "netboot") for machine_id in bmcs}
    wait_until(lambda: any(bmc.received for bmc in bmcs.values()), what="the first command")
    frozen = set(rack.watchdog.pids)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: rack.ended(*actions.values()), seconds=60, what="every action to end")
    # The one that was replaced first may have ended them all.
    wait_until(lambda: not frozen & set(rack.watchdog.pids), what="both to be replaced")
    for machine_id, bmc in bmcs.items():
        judge(rack, actions[machine_id], bmc, bmc.commands())


def test_hung_pyghmi_is_replaced_in_the_middle_of_power_cycles(wishes: Path, rack: Rack, fleet: BmcFleet) -> None:
    """Its I/O thread is gone, so that every call of this process waits for ever: it gives up, and is replaced."""
    bmcs = machines(rack, fleet, 4)
    wait_until(lambda: all(rack.power_of(machine) == "on" for machine in bmcs), seconds=60, what="a first look")
    before = set(rack.watchdog.pids)
    (wishes / str(next(iter(bmcs)))).write_text("hang after the send of off_intended")
    actions = {machine_id: rack.order(machine_id, "netboot") for machine_id in bmcs}
    wait_until(lambda: rack.ended(*actions.values()), seconds=60, what="every action to end")
    assert not list(wishes.iterdir())
    assert before != set(rack.watchdog.pids)
    for machine_id, bmc in bmcs.items():
        judge(rack, actions[machine_id], bmc, bmc.commands())
