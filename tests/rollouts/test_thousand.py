"""A rollout over a thousand machines (`make soak`; forty in `make test`), by processes that are killed again and again.

Whether it kept its rules is read from its course alone: how many were down after each line, those counted that have
failed; whose wave it was; and that nobody was worked on twice.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter

import pytest

from pxeapp.rollouts.rehearse import Fault, Simulated
from pxeapp.rollouts.runner import Runner
from tests.rollouts.stage import QUICK, SECOND, Deadly, Killed, Observer, Stage, spec
from tests.sweep import size

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * 60 * 60)]
MACHINES = size(40, 1000)
MAY_BE_DOWN = MACHINES // 20  # 5 %
MAY_FAIL = MAY_BE_DOWN // 2  # failed ones stay down: what is left of the budget brings the others to their end
STEPS = ("drain", "reboot", "verify", "undrain", "soak")


def driven(stage: Stage, number: int, *faults: Fault, share: float = 1 / MACHINES) -> int:
    """Until the rollout is over; how many processes died of it."""
    dice = random.Random(number)
    deaths = 0

    def born() -> Runner:
        steps = dict.fromkeys(STEPS, Deadly(Simulated(QUICK, faults), dice, share))
        return stage.runner(owner=f"process {dice.random()}", steps=steps)

    runner = born()
    while stage.row(number).state == "running":
        try:
            if not stage.once(runner):
                stage.clock.now = max(stage.clock.now + SECOND, stage.next_due())
        except Killed:
            deaths += 1
            runner = born()
            stage.clock.now += dt.timedelta(seconds=dice.randint(0, 120))
    return deaths


@pytest.mark.parametrize("more", [0, 1], ids=["as many fail as may", "one more fails"])
def test_it_keeps_its_budget_its_order_and_its_limit(stage: Stage, more: int) -> None:
    stage.machines(MACHINES, racks=MACHINES // 10)
    number = stage.rollout(
        spec(
            order={
                "canary": 2, "waves": {"by": "percent", "size": 10}, "max_unavailable": "5%", "soak": "1m",
                "max_failures": MAY_FAIL,
            }
        )
    )  # fmt: skip
    members = list(stage.states(number))
    bad = random.Random(1).sample(members[MACHINES // 10 :], MAY_FAIL + more)
    deaths = driven(stage, number, *[Fault(name, "verify", "fails") for name in bad])
    assert deaths > 3
    observer, row = Observer(stage, number), stage.row(number)
    assert observer.worst() <= MAY_BE_DOWN
    waves = [wave for wave, _ in observer.order()]
    assert waves == sorted(waves)
    states = stage.states(number)
    failed = {name for name, state in states.items() if state == "failed"}
    assert failed <= set(bad), {name: stage.member(number, name).reason for name in failed - set(bad)}
    for name in members:
        done = Counter(step for step, _ in stage.steps(number, name))
        assert set(done.values()) <= {1}, f"{name}: {done}"
    if more:
        assert (row.state, len(failed)) == ("paused", MAY_FAIL + 1)
        assert f"{MAY_FAIL} may in total" in row.reason
    else:
        assert (row.state, len(failed)) == ("done", MAY_FAIL)
        assert {state for name, state in states.items() if name not in failed} == {"done"}
