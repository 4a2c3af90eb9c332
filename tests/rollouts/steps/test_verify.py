"""Gates hold for the settling time without a break; one that flaps too often fails; no gap counts as steady."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from pxeapp.rollouts.port import Done, Failed, Finding, Outcome, Subject, Waiting
from pxeapp.rollouts.steps.verify import GAP, Soak, Verify
from tests.rollouts.steps.subjects import T0, subject

SECOND = dt.timedelta(seconds=1)


class Says:
    """Gates that say what is written: each letter a look, + all hold, - the second one fails."""

    def __init__(self, script: str) -> None:
        self.script: Iterator[str] = iter(script)

    def check(self, subject: Subject, *, now: dt.datetime) -> list[Finding]:
        holds = next(self.script, "+") == "+"
        return [Finding("ssh", True, "it answers"), Finding("services", holds, "active" if holds else "nova is dead.")]


def looks(step: Verify | Soak, about: Subject, number: int, *, every: dt.timedelta = 5 * SECOND) -> Outcome:
    """So many looks, each with the memory of the one before."""
    outcome: Outcome = Waiting("")
    now = T0
    for _ in range(number):
        outcome = step.look(about, outcome.memory, now=now)
        if not isinstance(outcome, Waiting):
            break
        now += every
    return outcome


def test_they_hold_for_as_long_as_it_says() -> None:
    about = subject("verify", verify={"settle": "20s"})
    waits = looks(Verify(Says("")), about, 4)
    assert isinstance(waits, Waiting)
    assert waits.says == "All 2 gates hold; they must for 5s more."
    done = looks(Verify(Says("")), about, 5)
    assert isinstance(done, Done)
    assert done.says == "All 2 gates held for 20s."
    assert [each["holds"] for each in done.evidence["gates"]] == [True, True]


def test_a_failure_begins_the_time_anew_and_is_said() -> None:
    about = subject("verify", verify={"settle": "10s"})
    bad = looks(Verify(Says("++-")), about, 3)
    assert isinstance(bad, Waiting)
    assert bad.says == "services: nova is dead."
    assert isinstance(looks(Verify(Says("++-++")), about, 5), Waiting)
    assert isinstance(looks(Verify(Says("++-+++")), about, 6), Done)


def test_one_that_flaps_too_often_fails_with_the_gate_as_its_code() -> None:
    about = subject("verify", verify={"settle": "1m", "flaps": 2})
    found = looks(Verify(Says("+-+-+-+-")), about, 20)
    assert isinstance(found, Failed)
    assert found.code == "gate_services"
    assert "3. time" in found.says
    assert isinstance(looks(Verify(Says("-" * 10 + "+-+-")), about, 14), Waiting)  # slow to come up is no flapping


def test_without_a_settling_time_once_is_enough_and_without_gates_nobody_waits() -> None:
    assert isinstance(looks(Verify(Says("+")), subject("verify", verify={"settle": "0s"}), 1), Done)


def test_a_gap_in_which_nobody_looked_does_not_count() -> None:
    """An appliance that was off, or a clock that was set forward, makes no machine look steady."""
    about = subject("verify", verify={"settle": "5m"})
    step = Verify(Says(""))
    first = step.look(about, {}, now=T0)
    assert isinstance(first, Waiting)
    later = step.look(about, first.memory, now=T0 + 2 * GAP)
    assert isinstance(later, Waiting)
    assert later.memory["held_s"] == 0
    back = step.look(about, later.memory, now=T0)
    assert isinstance(back, Waiting)
    assert back.memory["held_s"] == 0


def test_a_soak_lasts_as_long_as_the_order_says_and_looks_less_often() -> None:
    about = subject("soak", order={"soak": "10m"})
    waits = looks(Soak(Says("")), about, 1)
    assert isinstance(waits, Waiting)
    assert waits.again == 15 * SECOND
    assert isinstance(looks(Soak(Says("")), about, 41, every=15 * SECOND), Done)
