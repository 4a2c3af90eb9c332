"""Random plans over random sites, played through: the budget is held to rules that are written down a second time."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pxeapp.rollouts import budget, plan
from pxeapp.rollouts.budget import INVARIANT, Decision, Standing
from pxeapp.rollouts.invariants import Serving
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec
from tests.rollouts import sites
from tests.rollouts.sites import Law

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
few = settings(max_examples=max(50, settings().max_examples // 2))


class Course:
    """A rollout that is played through, with what is down beside it."""

    def __init__(self, spec: Spec, made: Plan, everyone: Sequence[Serving]) -> None:
        self.plan = made
        self.names = {each.machine_id: each.name for each in everyone}
        self.laws = list(sites.laws(spec, everyone))
        self.most = made.max_unavailable
        self.dead = {each.machine_id for each in everyone if each.down}
        self.running: set[int] = set()
        self.through: set[int] = set()
        self.at = 0  # the place of the present wave

    @property
    def down(self) -> set[int]:
        return self.dead | self.running

    @property
    def waiting(self) -> list[int]:
        return [each for each in self.plan.waves[self.at].machines if each not in self.running | self.through]

    def decide(self) -> Decision:
        """Ask, look whether the answer keeps the rules, and do it."""
        before = self.down
        names = {each: self.names[each] for each in self.waiting}
        found = budget.next_ones(self.plan, Standing({each: self.names[each] for each in before}, names), now=NOW)
        assert list(found.begin) == [each for each in self.waiting if each in found.begin], "out of order"
        after = before | set(found.begin)
        mine = set(self.plan.machines)
        for law in [*self.laws, Law("max_unavailable", {each: each for each in mine}, self.most)]:
            assert law.down(after) <= max(law.most, law.down(before)), f"{law.name}: {found}"
        assert found.down == len(after & mine)
        assert bool(found.says) == (len(found.begin) < len(names))
        self.running |= set(found.begin)
        return found

    def end(self, machine: int) -> None:
        """It is through, and serves again."""
        self.running.remove(machine)
        self.dead.discard(machine)
        self.through.add(machine)

    def next_wave(self) -> bool:
        """On to the next one if this one is through; False: it was the last."""
        while self.at < len(self.plan.waves) and not self.running and not self.waiting:
            self.at += 1
            if self.at == len(self.plan.waves):
                return False
        return True


def made(spec: Spec, everyone: Sequence[Serving], chosen: Sequence[Serving]) -> Plan | None:
    found, problems = plan.draft(spec, chosen, everyone)
    assert all(each.field and each.problem.endswith(".") for each in problems)
    return None if problems else found


Case = tuple[Spec, list[Serving], list[Serving]]


def _case(kinds: tuple[int, int], draws: list[int], chosen: int) -> Case:
    everyone = sites.site(kinds[0], draws)
    some = [each for each in everyone if chosen >> each.machine_id & 1]
    return sites.spec(kinds[1]), everyone, some or everyone


NUMBER = st.integers(0, 2**24)
rollouts = st.builds(_case, st.tuples(NUMBER, NUMBER), st.lists(NUMBER, min_size=1, max_size=24), NUMBER)


@given(rollouts, NUMBER)
def test_no_decision_exceeds_a_limit_whatever_dies_or_comes_back_meanwhile(rollout: Case, seed: int) -> None:
    spec, everyone, chosen = rollout
    plan_made = made(spec, everyone, chosen)
    if plan_made is None:
        return
    course, dice = Course(spec, plan_made, everyone), random.Random(seed)
    everybody = sorted(course.names)
    for _ in range(60):
        course.decide()
        for machine in dice.sample(everybody, dice.randint(0, min(2, len(everybody)))):
            if machine in course.dead:
                course.dead.discard(machine)
            elif machine not in course.running:
                course.dead.add(machine)
        for machine in dice.sample(sorted(course.running), dice.randint(0, len(course.running))):
            course.end(machine)
        if not course.next_wave():
            break


@given(rollouts, NUMBER)
def test_a_plan_that_is_accepted_can_finish_when_nothing_fails(rollout: Case, seed: int) -> None:
    spec, everyone, chosen = rollout
    plan_made = made(spec, everyone, chosen)
    if plan_made is None:
        return
    assert sorted(plan_made.machines) == sorted(each.machine_id for each in chosen)
    course, dice = Course(spec, plan_made, everyone), random.Random(seed)
    while course.next_wave():
        found = course.decide()
        assert course.running, f"Nothing moves any more: {found}"
        # What needed to wait for an invariant would have been refused.
        assert spec.on_conflict == "hold" or found.code != INVARIANT, found
        course.end(dice.choice(sorted(course.running)))
    assert course.through == set(plan_made.machines)


@given(rollouts)
@few
def test_waves_have_every_machine_once_in_the_order_that_was_said_and_canaries_stand_alone(
    rollout: Case,
) -> None:
    spec, everyone, chosen = rollout
    found, _ = plan.draft(spec, chosen, everyone)
    assert Plan.from_dict(json.loads(json.dumps(found.to_dict()))) == found, "another one after it was stored"
    place = {each.machine_id: number for number, each in enumerate(chosen)}
    assert sorted(found.machines) == sorted(place)
    numbers = [wave.number for wave in found.waves]
    assert numbers == sorted(set(numbers))
    canaries = next((wave.machines for wave in found.waves if wave.number == plan.CANARIES), ())
    serving = [each for each in chosen if not each.down]
    assert isinstance(spec.order.canary, int)
    assert len(canaries) == min(spec.order.canary, len(serving))
    size = spec.order.waves.size
    for wave in found.waves:
        assert wave.machines
        if wave.number != plan.CANARIES:
            assert [place[each] for each in wave.machines] == sorted(place[each] for each in wave.machines)
        if wave.number != plan.CANARIES and spec.order.waves.by == "count":
            assert len(wave.machines) <= size
        if wave.number != plan.CANARIES and spec.order.waves.by == "percent":
            assert len(wave.machines) <= max(1, len(chosen) * size // 100)
