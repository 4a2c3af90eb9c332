"""Workers that die at any point, and workers that wake up late: no power command without a reason, no action lost."""

from __future__ import annotations

import random

import pytest

from pxeapp.bmc import power
from pxeapp.bmc.hands import Carrier, Hand
from tests.bmc.conftest import Bench


class Killed(BaseException):
    """The process is gone: not an Exception, so that nothing handles it."""


def kill_at(carrier: Carrier, point: str, monkeypatch: pytest.MonkeyPatch, phase: str) -> None:
    """Die just before or just after the command of a phase leaves."""
    original = Carrier._carry_out

    def dying(self: Carrier, hand: Hand, intended: str) -> None:
        if intended != phase:
            original(self, hand, intended)
            return
        if point == "after send":
            assert hand.driver is not None
            hand.driver.set_power("on" if intended.startswith("on") else "off")
        raise Killed

    monkeypatch.setattr(Carrier, "_carry_out", dying)


@pytest.mark.parametrize("phase", ["off_intended", "on_intended"])
@pytest.mark.parametrize("point", ["after intent", "after send"])
def test_crash_around_a_send_ends_with_one_off_and_one_on(
    bench: Bench, point: str, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fake.set_power("on")
    action_id = bench.order("netboot")
    first = bench.carrier("worker:1")
    with monkeypatch.context() as patch:
        kill_at(first, point, patch, phase)
        with pytest.raises(Killed):
            bench.finish(action_id, carrier=first)
    bench.after_crash()
    action = bench.finish(action_id, carrier=bench.carrier("worker:2"))
    assert action.outcome == power.DONE
    assert bench.commands()[1:].count("power off") == 1
    assert bench.commands()[1:].count("power on") == 1


def test_a_second_lost_intent_is_left_to_the_operator(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fake.set_power("on")
    action_id = bench.order("off")
    for number in (1, 2):
        carrier = bench.carrier(f"worker:{number}")
        with monkeypatch.context() as patch:
            kill_at(carrier, "after intent", patch, "off_intended")
            with pytest.raises(Killed):
                bench.finish(action_id, carrier=carrier)
        bench.after_crash()
    action = bench.finish(action_id, carrier=bench.carrier("worker:3"))
    assert action.outcome == power.UNCONFIRMED
    assert bench.commands() == ["power on"], "no command was ever sent on a guess"


def test_a_worker_that_wakes_up_late_sends_nothing(bench: Bench) -> None:
    bench.fake.set_power("on")
    action_id = bench.order("netboot")
    sleeper = bench.carrier("worker:1")
    (hand,) = sleeper.claim(limit=1)
    bench.after_crash()
    bench.finish(action_id, carrier=bench.carrier("worker:2"))
    before = bench.commands()
    assert not sleeper.step(hand)
    assert bench.commands() == before


def test_no_command_leaves_on_a_lease_that_is_about_to_end(bench: Bench) -> None:
    bench.fake.set_power("on")
    bench.order("off")
    carrier = bench.carrier()
    (hand,) = carrier.claim(limit=1)
    hand.lease_until = bench.clock()
    assert not carrier.step(hand)
    assert bench.commands() == ["power on"]


@pytest.mark.parametrize("seed", range(20))
def test_random_crashes_never_repeat_a_power_command(bench: Bench, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the worker at random commits; whatever happens, at most one off and one on reach the BMC."""
    chance = random.Random(seed)
    bench.fake.set_power("on")
    action_id = bench.order("netboot")
    enter = power.enter

    def dying_enter(*args: object, **kwargs: object) -> None:
        enter(*args, **kwargs)  # type: ignore[arg-type]
        if chance.random() < 0.25:
            raise Killed  # the transaction rolls back, as it does when a process dies before its commit

    for number in range(30):
        carrier = bench.carrier(f"worker:{number}")
        with monkeypatch.context() as patch:
            patch.setattr("pxeapp.bmc.power.enter", dying_enter)
            try:
                bench.finish(action_id, carrier=carrier)
            except Killed:
                bench.after_crash()
                continue
        break
    action = bench.finish(action_id) if bench.action(action_id).outcome is None else bench.action(action_id)
    assert action.outcome in (power.DONE, power.UNCONFIRMED)
    assert bench.commands()[1:].count("power off") <= 1
    assert bench.commands()[1:].count("power on") <= 1
