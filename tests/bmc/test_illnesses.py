"""Every illness that a BMC can have, on the wire, against real workers: what the BMC's own log says they did.

The short form hurries the worker's patience; the whole one (`make soak`) is the shipped worker with the shipped one.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import pytest

from pxeapp.bmc import power
from pxeapp.bmc.hands import AFTER_TROUBLE
from pxeapp.bmc.models import PowerAction
from pxeapp.bmc.power import PowerTimings
from pxeapp.bmc.watchdog import Watchdog
from pxeapp.db import Base, Database
from pxeapp.lab.fleet.bmcs import BmcFleet, Illness, SimulatedBmc
from pxeapp.vault import open_vault
from tests import sweep
from tests.bmc.child import TIMINGS, seconds
from tests.bmc.rack import CHILD, PASSWORD, USER, Rack, watched
from tests.bmc.simulator import wait_until
from tests.conftest import load_models

pytestmark = [pytest.mark.network, pytest.mark.soak]
SHIPPED = (sys.executable, "-m", "pxeapp", "bmc-worker")  # the watchdog appends the rest
PATIENCE = PowerTimings() if sweep.FULL else TIMINGS
ORDERED = PowerTimings() if sweep.FULL else PowerTimings(deadline=seconds(9))
WHOLE = ["power off", "boot network", "power on"]
EVERY_SUITE = None


class Case(NamedTuple):
    """An illness, and what must be said and what may have been done; `told` None: any part of the whole, in order."""

    illness: Illness
    outcome: str
    code: str = ""
    sentence: str = ""
    told: list[str] | None = None
    suite: int | None = 17
    set_up: Callable[[SimulatedBmc], None] | None = None


def _slower(bmc: SimulatedBmc) -> None:
    bmc.reply_after_s = 0.1


def _quick(bmc: SimulatedBmc) -> None:
    bmc.takes_s = 0.0


def _late(bmc: SimulatedBmc) -> None:
    bmc.takes_s = 1.2


CASES: dict[str, Case] = {
    "well": Case("answering", power.DONE, told=WHOLE),
    "follows at once": Case("answering", power.DONE, told=WHOLE, set_up=_quick),
    "slow to follow": Case("answering", power.DONE, told=WHOLE, set_up=_late),
    "slow to answer": Case("answering", power.DONE, told=WHOLE, set_up=_slower),
    "loses one reply": Case("losing_one_reply", power.DONE, told=WHOLE),
    "loses every reply": Case("losing_replies", power.DONE, told=WHOLE),
    "dies after a command": Case(
        "dying_after_command", power.UNCONFIRMED, "unreachable", "No answer from", told=["power off"]
    ),
    "lies": Case("lying", power.UNCONFIRMED, "unconfirmed", "It was told to go off, but", told=["power off"]),
    "is deaf": Case("deaf", power.UNCONFIRMED, "unconfirmed", "It was told to go off, but", told=[]),
    "refuses": Case("refusing", power.FAILED, "refused", "refused to go off", told=["power off"]),
    "hangs mid-session": Case("hanging", power.FAILED, "unreachable", "No answer from", told=[]),
    "is silent": Case("silent", power.FAILED, "unreachable", "No answer from", told=[]),
    "answers garbage": Case("garbage", power.FAILED, "confused", "answered garbage", told=[]),
    "answers nothing": Case("babbling", power.FAILED, "unconfirmed", "says neither on nor off", told=[]),
    "has another password": Case("wrong_password", power.FAILED, "wrong_password", "refuses the user 'admin'", told=[]),
    "knows suite 3 only": Case("suite3_only", power.FAILED, "cipher_suite", "refuses cipher suite 17", told=[]),
    "knows suite 3 only, and may use it": Case("suite3_only", power.DONE, told=WHOLE, suite=EVERY_SUITE),
    "is busy": Case("busy", power.FAILED, "busy", "has no free session", told=[]),
    "flaps": Case("flapping", "", told=None),
    "comes and goes": Case("answering", "", told=None),
}


@dataclass
class Ward:
    """What became of everybody."""

    bmcs: dict[str, SimulatedBmc]
    actions: dict[str, PowerAction]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """All of them at once, each ordered to netboot, with two workers; ends when every action has ended."""
    load_models()
    folder = tmp_path_factory.mktemp("ward")
    database = Database(f"sqlite:///{folder / 'ward.db'}")
    Base.metadata.create_all(database.engine)
    open_vault(folder)
    with pytest.MonkeyPatch.context() as patch, BmcFleet(username=USER, password=PASSWORD) as fleet:
        patch.setenv("PXEAPP_DATA_DIR", str(folder))
        patch.setenv("PXEAPP_DATABASE_URL", database.url)
        rack = Rack(database, folder, Watchdog(2, SHIPPED if sweep.FULL else CHILD))
        bmcs = {name: _sick(fleet, name, case) for name, case in CASES.items()}
        machines = {name: rack.behind(number, bmcs[name], suite=CASES[name].suite) for number, name in enumerate(CASES)}
        done = threading.Event()
        toggling = threading.Thread(target=_come_and_go, args=(bmcs["comes and goes"], done))
        toggling.start()
        try:
            with watched(rack.watchdog):
                wait_until(lambda: rack.power_of(machines["well"]) == "on", seconds=60, what="workers that work")
                ids = {name: rack.order(machine, "netboot", timings=ORDERED) for name, machine in machines.items()}
                wait_until(lambda: rack.ended(*ids.values()), seconds=sweep.size(60, 600), what="every action to end")
        finally:
            done.set()
            toggling.join()
        yield Ward(bmcs, {name: rack.action(action_id) for name, action_id in ids.items()})
    database.dispose()


def _sick(fleet: BmcFleet, name: str, case: Case) -> SimulatedBmc:
    bmc = fleet.add(name)
    bmc.power = True
    bmc.takes_s = 0.3
    bmc.illness = case.illness
    if case.set_up:
        case.set_up(bmc)
    return bmc


def _come_and_go(bmc: SimulatedBmc, done: threading.Event) -> None:
    while not done.wait(0.5):
        bmc.illness = "silent" if bmc.illness == "answering" else "answering"


@pytest.mark.parametrize("name", CASES)
def test_each_command_arrives_at_most_once_and_never_a_reset(ward: Ward, name: str) -> None:
    told, wanted = ward.bmcs[name].commands(), CASES[name].told
    if wanted is None:
        assert told == [what for what in WHOLE if what in told]
    else:
        assert told == wanted


@pytest.mark.parametrize("name", CASES)
def test_the_failure_is_named(ward: Ward, name: str) -> None:
    action, case = ward.actions[name], CASES[name]
    if case.outcome:
        assert (action.outcome, action.error_code) == (case.outcome, case.code), action.error
        assert case.sentence in action.error
        assert bool(action.error) == (case.outcome != power.DONE)
    assert PASSWORD not in repr(vars(action))


@pytest.mark.parametrize("name", CASES)
def test_done_means_observed(ward: Ward, name: str) -> None:
    action, bmc = ward.actions[name], ward.bmcs[name]
    if name == "flaps":  # what such a one says is all that anybody can know
        return
    if action.outcome == power.DONE:
        assert (bmc.power, bmc.booted_from) == (True, "network")
        phases = [entry["phase"] for entry in action.log]
        assert phases.index("off_intended") < phases.index("boot_due") < phases.index("on_due") < phases.index("done")


@pytest.mark.parametrize("name", CASES)
def test_commands_keep_their_distance(ward: Ward, name: str) -> None:
    bmc = ward.bmcs[name]
    powers = [received.at for received in bmc.received if received.what.startswith("power")]
    assert all(later - earlier >= PATIENCE.gap.total_seconds() for earlier, later in pairwise(powers))
    assert bmc.overlaps == 0, "one command at a time"


@pytest.mark.parametrize("name", CASES)
def test_no_storm_of_logins(ward: Ward, name: str) -> None:
    """A look at a sick BMC comes every five seconds and logs in twice at most; the power polling adds one a minute."""
    logins = ward.bmcs[name].logins
    window = AFTER_TROUBLE / dt.timedelta(seconds=1)
    most = max((sum(at <= other < at + window for other in logins) for at in logins), default=0)
    if name != "comes and goes":  # well every other moment, so asked as often as a well one
        assert most <= 5
    if name == "has another password":
        assert len(logins) <= 3, "the action tries once, and so does each worker's polling: more might lock the account"
    per_minute = max((sum(at <= other < at + 60 for other in logins) for at in logins), default=0)
    assert per_minute <= 40


def test_sessions_are_given_back(ward: Ward) -> None:
    deadline = time.monotonic() + 5
    while any(ward.bmcs[name].sessions for name in ("well", "slow to follow")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ward.bmcs["well"].sessions == ward.bmcs["slow to follow"].sessions == 0
    assert os.environ.get("PXEAPP_DATA_DIR"), "still the ward's own"
