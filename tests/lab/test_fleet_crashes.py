"""kill -9 of whatever runs, at random moments, while a fleet is deployed: nothing is lost, nothing is done twice.

Short in `make test`; `make soak` kills 200 times in deployments of fifty machines. The seed is printed: SEED=n repeats
a run as far as the machine's own timing lets it.
"""

from __future__ import annotations

import math
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.bmc.models import PowerAction
from pxeapp.db import now
from pxeapp.lab.fleet.fleet import Fleet
from pxeapp.lab.fleet.machine import Pace
from pxeapp.provisioning.models import Deployment
from tests.lab import parts
from tests.lab.kills import Kill, caused, most_unconfirmed
from tests.lab.playing import playing
from tests.loopback import RELEASE, LoopbackAppliance, installing_appliance
from tests.sweep import size

pytestmark = [pytest.mark.network, pytest.mark.nginx, pytest.mark.soak, pytest.mark.timeout(size(600, 7200))]

MACHINES = size(10, 50)
ROUNDS = size(1, 10)
# All that this appliance runs. There is no dnsmasq among it: machines on loopback have no use for DHCP, so that is
# killed where there are real ones, in test_provisioning.py.
PARTS = ("web", "node", "front", "worker", "bmc-worker", "software-worker", "console", "tftp", "serve")
KILLS = size(len(PARTS), 20)  # per round
SPREAD_S = size(12, 60)  # over so many seconds
RESTARTED_S = 30.0  # a part that died often is started again after 10 s
MOVED_S = 60.0  # after the restart; a worker's lease (20 s) and the settling time of a cut-off command (10 s) are in it
ENDED_S = 150.0  # whole installations go on after the last kill, with retries of up to half a minute
# An installation takes longer than the kills: a report must be taken before it goes on, so being away delays both.
INSTALL_S = size(20, 75)
PACE = Pace(
    self_test_s=0.5, start_s=0.5, install_s=INSTALL_S, words=INSTALL_S // 5, reboot_s=0.5, retries_s=(2.0,) * 120
)


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackAppliance]:
    folder = tmp_path_factory.mktemp("crashes")
    with installing_appliance(folder, installs_at_once=str(MACHINES), starts_per_minute="1200") as running:
        yield running


def kill_one(appliance: LoopbackAppliance, part: str, chance: random.Random) -> Kill | None:
    """kill -9 one process of this part; `serve` is started again, as a service manager would."""
    found = parts.pids(appliance.folder / "data", part)
    if not found:
        return None
    if part == "serve":
        assert appliance.process is not None
        found = [appliance.process.pid]
    began = now()
    try:
        os.kill(chance.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return None
    if part == "serve":
        assert appliance.process is not None
        appliance.process.wait(30)
        appliance.start()
    return Kill(part, began, now())


def await_parts(appliance: LoopbackAppliance) -> None:
    """Until every part runs again."""
    deadline = time.monotonic() + RESTARTED_S
    while missing := [part for part in PARTS if not parts.pids(appliance.folder / "data", part)]:
        assert time.monotonic() < deadline, f"{missing} were not started again"
        time.sleep(0.3)


def running(appliance: LoopbackAppliance, numbers: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Where each deployment that has not ended stands.

    The time of its last step is left out: the appliance moves it along by itself when it was away. Nobody waits for
    long for a turn either: as many may install as there are machines, and a start is planned 15 s ahead at most.
    """
    with appliance.database() as database, database.read() as session:
        mine = Deployment.id.in_(list(numbers))
        rows = session.scalars(select(Deployment).where(mine, Deployment.outcome.is_(None)))
        return {row.id: (row.step, row.progress) for row in rows}


def await_moves(appliance: LoopbackAppliance, left: dict[int, tuple[str, str]]) -> float:
    """Until each of these has ended or stands elsewhere; how many seconds that took."""
    began = time.monotonic()
    still = left
    while still:
        waited = time.monotonic() - began
        assert waited < MOVED_S, f"neither ended nor moved within {waited:.0f} s: {still} of {left}"
        time.sleep(1)
        there = running(appliance, still)
        still = {number: place for number, place in still.items() if there.get(number) == place}
    return time.monotonic() - began


def log_of_power(appliance: LoopbackAppliance, number: int) -> list[dict[str, Any]]:
    """What the deployment's last power action went through."""
    with appliance.database() as database, database.read() as session:
        action = session.get(PowerAction, session.get_one(Deployment, number).power_action_id or 0)
        return action.log if action is not None else []


def patiently(appliance: LoopbackAppliance, path: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            return appliance.api.get(path)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def ordered(appliance: LoopbackAppliance, names: list[str]) -> dict[str, int]:
    said = {"release": RELEASE, "role": "base", "reimage": True}
    return {name: appliance.api.post(f"/machines/{name}/deploy", said)["id"] for name in names}


def ended(appliance: LoopbackAppliance, numbers: dict[str, int]) -> dict[str, dict[str, Any]]:
    """The rows once all have ended, or what they are when patience is over."""
    deadline = time.monotonic() + ENDED_S
    rows: dict[str, dict[str, Any]] = {}
    while time.monotonic() < deadline:
        for name, number in numbers.items():
            if not rows.get(name, {}).get("outcome"):
                rows[name] = patiently(appliance, f"/deployments/{number}")
        if all(row["outcome"] for row in rows.values()):
            break
        time.sleep(1)
    return rows


def test_whatever_is_killed_every_machine_arrives_and_is_switched_at_most_once(appliance: LoopbackAppliance) -> None:
    seed = int(os.environ.get("SEED", "20261125"))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    fleet = Fleet(MACHINES, appliance.seen_by_machines, pace=PACE, bmc_takes_s=0.5)
    for machine in fleet.machines[::2]:
        machine.bmc.power = True  # they run something else and must be switched off first
    appliance.register(fleet.machines_file())
    killed: Counter[str] = Counter()
    watched = 0
    with playing(fleet):
        for _ in range(ROUNDS):
            before = {machine.name: len(machine.bmc.received) for machine in fleet.machines}
            numbers = ordered(appliance, [machine.name for machine in fleet.machines])
            moments = sorted(chance.uniform(0, SPREAD_S) for _ in range(KILLS))
            deck = list(PARTS) * math.ceil(KILLS / len(PARTS))  # each part as often as any other, in any order
            chance.shuffle(deck)
            began = time.monotonic()
            kills = []
            for moment, part in zip(moments, deck, strict=False):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                if (kill := kill_one(appliance, part, chance)) is not None:
                    kills.append(kill)
            killed.update(kill.part for kill in kills)
            await_parts(appliance)
            left = running(appliance, numbers.values())
            took = await_moves(appliance, left)
            print(f"after the last kill {len(left)} were running; each has ended or moved within {took:.0f} s")
            watched += len(left)
            rows = ended(appliance, numbers)
            unconfirmed = []
            for machine in fleet.machines:
                row = rows[machine.name]
                commands = machine.bmc.commands()[before[machine.name] :]
                told = Counter(command for command in commands if command.startswith("power"))
                story = f"{machine.name}: {row['step']} {row['reason']} {commands} {machine.troubles} {dict(killed)}"
                assert row["outcome"], f"it did not end: {story}"
                assert told["power on"] <= 1, story
                assert told["power off"] <= 1, story
                assert set(told) <= {"power on", "power off"}, story
                # A command of which nobody can know whether it left may end in "unconfirmed"; nothing else may fail.
                assert row["outcome"] == "succeeded" or row["reason_code"] == "bmc_unconfirmed", story
                assert machine.troubles == [], story
                if row["outcome"] != "succeeded":
                    log = log_of_power(appliance, numbers[machine.name])
                    assert caused(log, kills), f"no kill left it unconfirmed: {story} {log} {kills}"
                    unconfirmed.append(machine.name)
            assert len(unconfirmed) <= most_unconfirmed(kills), f"{unconfirmed} {kills}"
    print(dict(killed))
    assert set(killed) == set(PARTS)
    assert watched, "they install for longer than the kills last, so some were running after the last one"
    assert sum(killed.values()) >= KILLS * ROUNDS // 2
