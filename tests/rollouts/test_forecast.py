from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pxeapp.rollouts import forecast
from pxeapp.rollouts.forecast import Forecast, Left, Took
from pxeapp.rollouts.invariants import Group
from pxeapp.rollouts.plan import Plan, Wave
from pxeapp.rollouts.spec import Spec

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
STEPS = {"drain": 2.0, "reboot": 300.0, "verify": 60.0, "undrain": 1.0}


def spec(**said: Any) -> Spec:
    order = {"soak": 0, **said.pop("order", {})}
    whole = {"name": "x", "machines": {"cluster": "prod"}, "action": {"reboot": {}}, "order": order, **said}
    return Spec.model_validate(whole)


def took(of: Spec, number: int, role: str = "web", rollout: int = 1, **seconds: float) -> list[Took]:
    return [
        Took(step, forecast.like(of, step), role, length, rollout)
        for _ in range(number)
        for step, length in {**STEPS, **seconds}.items()
    ]


def estimate(of: Spec, machines: int, most: int, known: list[Took], *groups: Group, **more: Any) -> Forecast:
    plan = Plan((Wave(1, "wave 1", tuple(range(machines)), pause=more.pop("pause", False)),), most, 0, None, groups)
    left = more.pop("left", [Left(number, "web") for number in range(machines)])
    return forecast.estimate(of, plan, {1: left}, known, now=NOW, **more)


def test_what_was_measured_is_multiplied_by_how_many_may_be_down_at_once() -> None:
    known = took(spec(), 5)
    assert estimate(spec(), 1, 1, known).total.median == 363
    assert estimate(spec(), 6, 1, known).total.median == 6 * 363
    assert estimate(spec(), 6, 2, known).total.median == 3 * 363
    assert estimate(spec(), 6, 99, known).total.median == 363


def test_a_wave_is_watched_at_its_end() -> None:
    known = took(spec(), 5)
    assert estimate(spec(order={"soak": "10m"}), 6, 2, known).total.median == 3 * 363 + 600
    only = [Left(1, "web", "soak", 200.0)]
    assert estimate(spec(order={"soak": "10m"}), 1, 1, known, left=only).total.median == 400


def test_an_invariant_slows_a_wave_down() -> None:
    known = took(spec(), 5)
    single = Group("controllers", "", 1, 3, "", {0: 0, 1: 1, 2: 2})
    assert estimate(spec(), 6, 6, known, single).total.median == 3 * 363
    racks = Group("object-nodes", "", 1, 2, "", {0: 0, 1: 0, 2: 0, 3: 1})
    assert estimate(spec(), 6, 6, known, racks).total.median == 2 * 363


def test_what_varies_is_told_with_its_spread() -> None:
    known = [each for reboot in (100, 200, 300, 400, 3000) * 4 for each in took(spec(), 1, reboot=float(reboot))]
    found = estimate(spec(), 1, 1, known).total
    assert (found.low, found.median, found.high) == (163, 363, 3063)
    assert estimate(spec(), 1, 1, known) == estimate(spec(), 1, 1, known)


def test_without_history_it_says_that_it_guesses_and_on_what() -> None:
    found = estimate(spec(), 1, 1, [])
    assert found.guessed
    assert found.says.startswith("About ")
    assert "This is a guess: drain was never measured here, 2s is assumed; reboot was never measured" in found.says
    assert found.total.low < found.total.median < found.total.high
    few = estimate(spec(), 1, 1, took(spec(), 4))
    assert few.guessed
    assert "reboot was measured 4 times only" in few.says
    assert few.total.low < 363 < few.total.high


def test_with_history_it_says_so() -> None:
    found = estimate(spec(), 4, 1, took(spec(), 5))
    assert not found.guessed
    assert found.says == "About 24m, 24m to 24m in eight of ten cases, from what this site has measured."
    assert found.bases[0].says == "drain: 5 machines of the role web"


def test_the_same_role_says_more_than_others_and_others_more_than_a_guess() -> None:
    others = took(spec(), 50, role="gpu", reboot=1000.0)
    assert estimate(spec(), 1, 1, others).total.median == 1063
    assert estimate(spec(), 1, 1, [*others, *took(spec(), 5)]).total.median == 363
    assert estimate(spec(), 1, 1, [*others, *took(spec(), 4)]).total.median == 1063


def test_what_this_rollout_has_done_says_most() -> None:
    known = [*took(spec(), 50), *took(spec(), 5, rollout=7, reboot=30.0)]
    assert estimate(spec(), 1, 1, known).total.median == 363
    assert estimate(spec(), 1, 1, known, rollout=7).total.median == 93


def test_another_kind_of_drain_says_nothing() -> None:
    live = spec(drain={"openstack": {"cloud": "prod"}})
    found = estimate(live, 1, 1, took(spec(), 50))
    assert [each.guessed for each in found.bases] == [True, False, False, True]


def test_a_machine_is_verified_for_as_long_as_this_rollout_asks() -> None:
    assert estimate(spec(verify={"settle": "5m"}), 1, 1, took(spec(), 5)).total.median == 363 - 60 + 300


def test_a_machine_in_hand_has_only_the_rest_to_go() -> None:
    known = took(spec(), 5)
    assert estimate(spec(), 1, 1, known, left=[Left(0, "web", "verify", 40.0)]).total.median == 21
    assert estimate(spec(), 1, 1, known, left=[Left(0, "web", "undrain", 4000.0)]).total.median == 1


def test_the_end_counts_windows_and_only_whole_machines_in_each() -> None:
    windows = [{"from": "22:00", "to": "23:00"}]
    known = took(spec(), 5, reboot=1800.0)  # 31 minutes and 3 seconds: one a night
    found = estimate(spec(order={"windows": windows}), 3, 1, known)
    assert found.ends_at == dt.datetime(2026, 3, 4, 22, 31, 3, tzinfo=dt.UTC)
    assert estimate(spec(), 1, 1, known).ends_at == NOW + dt.timedelta(seconds=1863)
    too_long = took(spec(), 5, reboot=3600.0)
    assert estimate(spec(order={"windows": windows}), 1, 1, too_long).ends_at is None


def test_of_a_guess_the_least_is_held_against_windows_and_of_history_the_middle() -> None:
    assert estimate(spec(), 1, 1, took(spec(), 5)).typical == dt.timedelta(seconds=363)
    guess = estimate(spec(), 1, 1, [])
    assert guess.typical == dt.timedelta(seconds=round(guess.machine.low))


def test_time_that_a_person_takes_is_not_in_it() -> None:
    assert estimate(spec(), 1, 1, [], pause=True).notes == ("The time until a person says go on is not in it.",)


def test_a_rollout_that_is_through_has_nothing_to_go() -> None:
    found = estimate(spec(), 1, 1, took(spec(), 5), left=[])
    assert (found.waves, found.total.high) == ((), 0)


@pytest.mark.parametrize(("seconds", "text"), [(0, "1s"), (59, "59s"), (3601, "1h"), (90_000, "1d1h")])
def test_durations_are_told_in_two_units_at_most(seconds: float, text: str) -> None:
    assert forecast._text(seconds) == text
