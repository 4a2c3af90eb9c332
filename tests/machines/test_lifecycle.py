"""The lifecycle table's properties, and claims by compare-and-set on a real database under two threads."""

from __future__ import annotations

import contextlib
import threading

import pytest
from sqlalchemy import select

from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.machines import lifecycle, service
from pxeapp.machines.lifecycle import FAILED, FAILURE_OF, TRANSITIONAL, TRANSITIONS, State
from pxeapp.machines.models import Machine
from tests.machines.conftest import LATER, add

STABLE = frozenset(State) - TRANSITIONAL - FAILED
INTERNAL = {"done", "fail"}  # what the reconciler says; all else is an operator's


def reachable(start: State, *, without: frozenset[str] = frozenset()) -> set[State]:
    found, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for (state, verb), after in TRANSITIONS.items():
            if state == here and verb not in without and after not in found:
                found.add(after)
                todo.append(after)
    return found


def test_each_transitional_state_has_exactly_one_failure_state_of_its_own() -> None:
    assert len(set(FAILURE_OF.values())) == len(FAILURE_OF)
    for transitional, failed in FAILURE_OF.items():
        assert {after for (state, _), after in TRANSITIONS.items() if state == transitional} & FAILED == {failed}
        assert {state for (state, verb), after in TRANSITIONS.items() if after == failed} == {transitional}
        assert str(failed).endswith(" failed")


def test_every_state_can_be_reached_from_registration() -> None:
    assert reachable(State.ENROLLED) == set(State)


@pytest.mark.parametrize("state", State)
def test_no_state_is_a_dead_end(state: State) -> None:
    assert State.ACTIVE in reachable(state)
    assert State.RETIRED in reachable(state)


@pytest.mark.parametrize("failed", sorted(FAILED))
def test_a_failed_state_can_be_left_although_it_would_fail_again(failed: State) -> None:
    """A disk that cannot be wiped must not keep its machine in `clean failed` for ever."""
    ways = {after for (state, verb), after in TRANSITIONS.items() if state == failed and verb not in INTERNAL}
    assert ways & STABLE


@pytest.mark.parametrize("state", sorted(TRANSITIONAL))
def test_a_transitional_state_ends_well_or_badly_and_an_abort_is_a_failure(state: State) -> None:
    assert set(lifecycle.verbs(state)) <= {"done", "fail", "abort"}
    assert lifecycle.target(state, "fail") == FAILURE_OF[state]
    assert lifecycle.target(state, "done") not in FAILED
    if "abort" in lifecycle.verbs(state):
        assert lifecycle.target(state, "abort") == FAILURE_OF[state]


@pytest.mark.parametrize("state", sorted(STABLE | FAILED))
def test_only_work_in_progress_ends_or_fails(state: State) -> None:
    assert not INTERNAL & set(lifecycle.verbs(state))


def test_a_verb_that_is_not_possible_says_what_is() -> None:
    with pytest.raises(Conflict) as caught:
        lifecycle.target("retired", "deploy")
    assert caught.value.sentence == "A machine that is retired cannot deploy."
    assert caught.value.hint == "From retired it can: manage."


def test_every_state_fits_its_column() -> None:
    assert max(map(len, State)) <= Machine.__table__.c.state.type.length


def test_of_two_who_claim_a_machine_at_once_exactly_one_wins(any_database: Database) -> None:
    names = [f"node{number}" for number in range(1, 21)]
    add(any_database, *names, state=State.AVAILABLE)
    barrier = threading.Barrier(2, timeout=30)
    won: dict[str, list[str]] = {name: [] for name in names}

    def claim(who: str) -> None:
        for name in names:
            barrier.wait()
            with contextlib.suppress(Conflict), any_database.write() as session:
                machine = session.scalars(select(Machine).where(Machine.name == name)).one()
                service.claim(session, machine, "reserve", now=LATER)
                won[name].append(who)

    threads = [threading.Thread(target=claim, args=(who,)) for who in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(len(winners) == 1 for winners in won.values())
    with any_database.read() as session:
        for machine in session.scalars(select(Machine)):
            assert (machine.state, machine.version) == (State.RESERVED, 2)
