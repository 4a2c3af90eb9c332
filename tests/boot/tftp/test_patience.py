"""How long is waited: as long as the client takes, never for ever, and for one who may be forged only so often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.boot.tftp.patience import GIVEN_UP_AFTER_S, LEAST_WAIT_S, MOST_WAIT_S, UNPROVEN_REPEATS, Patience

SECONDS = st.floats(0.0, 5.0)


def proven(timeout_s: float | None = None) -> Patience:
    patience = Patience()
    patience.proven(timeout_s)
    return patience


def run_out(patience: Patience, now: float) -> tuple[float, int]:
    """When a client that says nothing any more is given up, and how often it was sent something again."""
    repeats, began = 0, now
    now += patience.wait_s
    while patience.again(now, began):
        repeats += 1
        now += patience.wait_s
    return now, repeats


@given(st.lists(st.tuples(SECONDS, st.booleans()), max_size=40))
def test_whatever_is_measured_the_wait_is_within_bounds_and_a_dead_client_is_given_up(
    answers: list[tuple[float, bool]],
) -> None:
    patience = proven()
    for seconds, whole in answers:
        patience.answered(seconds, whole=whole)
        assert LEAST_WAIT_S <= patience.wait_s <= MOST_WAIT_S
    ended, _ = run_out(patience, 0.0)
    assert ended == pytest.approx(GIVEN_UP_AFTER_S, abs=LEAST_WAIT_S)


@given(st.floats(0.0, 2.0))
def test_a_steady_client_is_waited_for_longer_than_it_takes_and_not_much(seconds: float) -> None:
    patience = proven()
    for _ in range(60):
        assert patience.answered(seconds)
    assert seconds <= patience.wait_s <= max(LEAST_WAIT_S, 1.1 * seconds)


def test_a_client_whose_answers_vary_is_given_the_room() -> None:
    patience = proven()
    for turn in range(60):
        patience.answered(0.1 if turn % 2 else 0.9)
    assert patience.wait_s > 0.9


def test_an_answer_to_what_was_sent_twice_is_no_measurement_and_keeps_the_longer_wait() -> None:
    patience = proven()
    patience.answered(0.01)
    assert patience.again(1.0, 0.9)
    assert patience.again(1.2, 0.9)
    assert not patience.answered(0.001)
    assert patience.wait_s == pytest.approx(4 * LEAST_WAIT_S)
    assert patience.answered(0.01)
    assert patience.wait_s == LEAST_WAIT_S


def test_what_the_client_had_sent_again_is_no_measurement() -> None:
    patience = proven()
    patience.sent_twice()
    assert not patience.answered(0.01)


def test_who_has_proved_nothing_is_answered_four_times_in_all() -> None:
    ended, repeats = run_out(Patience(), 0.0)
    assert (ended, repeats) == (GIVEN_UP_AFTER_S, UNPROVEN_REPEATS)


@pytest.mark.parametrize("timeout_s", [1.0, 5.0, 255.0])
def test_a_timeout_that_the_client_wished_is_kept_and_it_gets_four_of_them(timeout_s: float) -> None:
    patience = proven(timeout_s)
    patience.answered(0.001)
    assert patience.wait_s == timeout_s
    ended, _ = run_out(patience, 0.0)
    assert ended == pytest.approx(max(GIVEN_UP_AFTER_S, 4 * timeout_s), abs=LEAST_WAIT_S)
