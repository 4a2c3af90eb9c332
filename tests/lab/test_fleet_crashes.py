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
from collections.abc import Iterator
from typing import Any

import pytest

from pxeapp.lab.fleet.fleet import Fleet
from pxeapp.lab.fleet.machine import Pace
from tests.lab import parts
from tests.lab.playing import playing
from tests.loopback import RELEASE, LoopbackAppliance, installing_appliance
from tests.sweep import size

pytestmark = [pytest.mark.network, pytest.mark.nginx, pytest.mark.soak, pytest.mark.timeout(size(600, 7200))]

MACHINES = size(10, 50)
ROUNDS = size(1, 10)
KILLS = size(7, 20)  # per round
SPREAD_S = size(12, 60)  # over so many seconds
PARTS = ("web", "node", "front", "worker", "bmc-worker", "tftp", "serve")
CONVERGED_S = 150.0  # whole installations go on after the last kill, with retries of up to half a minute
PACE = Pace(self_test_s=0.5, start_s=0.5, install_s=size(4, 25), words=3, reboot_s=0.5, retries_s=(2.0,) * 120)


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackAppliance]:
    folder = tmp_path_factory.mktemp("crashes")
    with installing_appliance(folder, installs_at_once=str(MACHINES), starts_per_minute="1200") as running:
        yield running


def kill_one(appliance: LoopbackAppliance, part: str, chance: random.Random) -> bool:
    """kill -9 one process of this part; `serve` is started again, as a service manager would."""
    found = parts.pids(appliance.folder / "data", part)
    if not found:
        return False
    if part == "serve":
        assert appliance.process is not None
        found = [appliance.process.pid]
    try:
        os.kill(chance.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    if part == "serve":
        assert appliance.process is not None
        appliance.process.wait(30)
        appliance.start()
    return True


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
    deadline = time.monotonic() + CONVERGED_S
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
    with playing(fleet):
        for _ in range(ROUNDS):
            before = {machine.name: len(machine.bmc.received) for machine in fleet.machines}
            numbers = ordered(appliance, [machine.name for machine in fleet.machines])
            moments = sorted(chance.uniform(0, SPREAD_S) for _ in range(KILLS))
            deck = list(PARTS) * math.ceil(KILLS / len(PARTS))  # each part as often as any other, in any order
            chance.shuffle(deck)
            began = time.monotonic()
            for moment, part in zip(moments, deck, strict=False):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                killed[part] += kill_one(appliance, part, chance)
            rows = ended(appliance, numbers)
            for machine in fleet.machines:
                row = rows[machine.name]
                commands = machine.bmc.commands()[before[machine.name] :]
                told = Counter(command for command in commands if command.startswith("power"))
                story = f"{machine.name}: {row['step']} {row['reason']} {commands} {machine.troubles} {dict(killed)}"
                assert row["outcome"], f"it neither ended nor moved: {story}"
                assert told["power on"] <= 1, story
                assert told["power off"] <= 1, story
                assert set(told) <= {"power on", "power off"}, story
                # A command of which nobody can know whether it left may end in "unconfirmed"; nothing else may fail.
                assert row["outcome"] == "succeeded" or row["reason_code"] == "bmc_unconfirmed", story
                assert machine.troubles == [], story
    print(dict(killed))
    assert sum(killed.values()) >= KILLS * ROUNDS // 2
