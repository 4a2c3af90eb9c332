from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from pxeapp.rollouts import budget
from pxeapp.rollouts.budget import Decision, Standing
from pxeapp.rollouts.invariants import Group
from pxeapp.rollouts.plan import Plan, Wave
from pxeapp.rollouts.windows import Window

NOW = dt.datetime(2026, 3, 2, 22, 10, tzinfo=dt.UTC)
NIGHT = Window.model_validate({"from": "22:00", "to": "23:00"})


def plan(most: int, *groups: Group, machines: int = 6) -> Plan:
    return Plan((Wave(1, "wave 1", tuple(range(1, machines + 1))),), most, 0, None, groups)


def group(allowed: int, domain_of: dict[int, int]) -> Group:
    says = f"prod has {len(domain_of)} controllers, so {allowed} may be down"
    return Group("controllers", "controllers of prod", allowed, len(set(domain_of.values())), says, domain_of)


def ask(of: Plan, down: Iterable[int] = (), waiting: Iterable[int] = (1, 2, 3), **more: Any) -> Decision:
    excused = frozenset(more.pop("excused", ()))
    off = {each: f"m{each} (its power is off)" for each in down}
    return budget.next_ones(of, Standing(off, {each: f"m{each}" for each in waiting}, excused), now=NOW, **more)


def test_so_many_begin_as_may_be_down_in_their_order() -> None:
    assert ask(plan(2)) == Decision(
        (1, 2), "m3 waits: 2 may be down, and m1 (begins now), m2 (begins now) are.", "unavailable", down=2
    )
    assert ask(plan(3)) == Decision((1, 2, 3), down=3)


def test_a_limit_that_is_reached_lets_nobody_begin() -> None:
    found = ask(plan(1), down=[5])
    assert (found.begin, found.code) == ((), "unavailable")
    assert found.says == "m1 waits: 1 may be down, and m5 (its power is off) is."


def test_machines_of_others_do_not_count_against_the_rollouts_own_limit() -> None:
    assert ask(plan(1), down=[77]).begin == (1,)


def test_one_that_is_down_already_costs_nothing() -> None:
    assert ask(plan(1), down=[2, 5]).begin == (2,)


def test_one_that_a_person_skipped_is_not_waited_for() -> None:
    assert ask(plan(1), down=[5], excused=[5]).begin == (1,)


def test_an_invariant_counts_what_is_down_elsewhere() -> None:
    controllers = group(1, {1: 1, 2: 2, 77: 3})
    found = ask(plan(6, controllers), down=[77])
    assert (found.begin, found.code) == ((3,), "invariant")
    assert found.says == "m1 waits: prod has 3 controllers, so 1 may be down; m77 (its power is off) is down."


def test_one_that_is_held_back_does_not_hold_back_others() -> None:
    assert ask(plan(6, group(1, {1: 1, 2: 2})), waiting=[1, 2, 3, 4]).begin == (1, 3, 4)


def test_a_domain_that_is_down_takes_more_of_its_machines() -> None:
    racks = group(1, {1: 1, 2: 2, 3: 1, 4: 2})
    found = ask(plan(6, racks), waiting=[1, 2, 3, 4])
    assert found.begin == (1, 3)


def test_nothing_is_added_to_what_is_exceeded_already() -> None:
    assert ask(plan(6, group(1, {1: 1, 2: 2, 3: 3, 4: 4})), down=[3, 4], waiting=[1, 2]).begin == ()
    assert ask(plan(6, group(1, {1: 1, 2: 2, 3: 3, 4: 4})), down=[3, 4], waiting=[1, 3]).begin == (3,)


def test_where_none_may_be_down_the_sentence_says_so() -> None:
    found = ask(plan(6, group(0, {1: 1, 2: 2})), waiting=[1])
    assert found.says == "m1 waits: prod has 2 controllers, so 0 may be down; with it one would be."


def test_nobody_waits_and_nothing_is_said() -> None:
    assert ask(plan(1), down=[1], waiting=[]) == Decision(down=1)


def test_no_more_at_once_than_the_caller_takes() -> None:
    assert ask(plan(3), at_most=2) == Decision((1, 2), down=2)


def test_nothing_begins_while_the_windows_are_closed() -> None:
    found = ask(plan(1), windows=[Window.model_validate({"from": "01:00", "to": "02:00"})])
    assert (found.begin, found.code) == ((), "window")
    assert found.look_at == dt.datetime(2026, 3, 3, 1, tzinfo=dt.UTC)
    assert found.says == "It waits for its window: the next opens at 2026-03-03 01:00 UTC."


def test_nothing_begins_that_would_not_be_through_when_the_window_closes() -> None:
    assert ask(plan(1), windows=[NIGHT], typical=dt.timedelta(minutes=50)).begin == (1,)
    found = ask(plan(1), windows=[NIGHT], typical=dt.timedelta(minutes=51))
    assert found.code == "window"
    assert found.look_at == dt.datetime(2026, 3, 3, 22, tzinfo=dt.UTC)
    assert found.says == (
        "The window closes at 2026-03-02 23:00 UTC, and by the forecast a machine takes 51m; "
        "the next opens at 2026-03-03 22:00 UTC."
    )
