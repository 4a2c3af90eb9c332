"""Workers that die at any point, and workers that wake up late: no power command without a reason, no action lost."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pxeapp.bmc import power
from pxeapp.bmc.fake import Behaviour
from pxeapp.bmc.hands import Carrier, Hand
from pxeapp.commits import GroupCommit
from pxeapp.prepared import Runner
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


class Fate:
    """Ends the process at random before and after each commit and each command."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._chance = random.Random(seed)
        self.deaths = 0
        for owner, name in ((GroupCommit, "run"), (Carrier, "_send")):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, original: Callable[..., object]) -> Callable[..., object]:
        def dangerous(*args: object, **kwargs: object) -> object:
            self._perhaps_die()
            result = original(*args, **kwargs)
            self._perhaps_die()
            return result

        return dangerous

    def _perhaps_die(self) -> None:
        if self.deaths < 8 and self._chance.random() < 0.12:
            self.deaths += 1
            raise Killed


@pytest.mark.parametrize("illness", ["answering", "losing_replies", "losing_one_reply", "lying", "deaf"])
@pytest.mark.parametrize("seed", range(12))
def test_random_crashes_never_repeat_a_power_command(
    bench: Bench, seed: int, illness: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens, a second off or on is sent only on a fresh observation, at most once, and the row says so."""
    bench.fake.set_power("on")
    bench.fake.behave(illness)
    action_id = bench.order("netboot")
    Fate(seed, monkeypatch)
    for number in range(10):
        try:
            bench.finish(action_id, carrier=bench.carrier(f"worker:{number}"))
            break
        except Killed:
            bench.after_crash()
    action = bench.action(action_id)
    assert action.outcome in (power.DONE, power.UNCONFIRMED, power.FAILED), "it ended, whatever became of it"
    assert action.finished_at is not None
    told = bench.commands()[1:]
    for command, stage in (("power off", "off"), ("power on", "on")):
        intents = [entry for entry in action.log if entry["phase"] == f"{stage}_intended"]
        assert told.count(command) <= len(intents) <= 2
        assert all("crash" in entry["note"] for entry in intents[1:]), "a second intent names its ground"
    if illness in ("answering", "losing_replies", "losing_one_reply") and action.outcome == power.DONE:
        assert bench.fake.truth() == "on"
        assert bench.fake.boot_device() == "network"
    if illness in ("lying", "deaf"):
        assert action.outcome != power.DONE, "nothing happened, so nothing is called done"
        assert "power on" not in told


def test_calls_that_never_return_still_end_the_action(bench: Bench) -> None:
    """Each look ended with its process; nobody is left to decide, so the next one to claim it does, without a look."""
    bench.fake.behave("hanging_once")
    action_id = bench.order("on")
    for number in range(3):
        bench.carrier(f"worker:{number}").claim(limit=1)  # and hangs, and is replaced
        bench.clock.pass_(130)
    (hand,) = bench.carrier("worker:9").claim(limit=1)
    assert not bench.carrier("worker:9").step(hand)
    action = bench.action(action_id)
    assert (action.outcome, action.error_code) == (power.FAILED, "unreachable")
    assert "do not return" in action.error


def test_leases_given_back_are_free_at_once(bench: Bench) -> None:
    action_id = bench.order("on")
    leaving = bench.carrier("worker:1")
    hands = leaving.claim(limit=1)
    assert bench.carrier("worker:2").claim(limit=1) == []
    leaving.release(hands)
    assert not leaving.step(hands[0]), "what was given back is not worked on"
    assert [hand.action_id for hand in bench.carrier("worker:2").claim(limit=1)] == [action_id]


def test_observation_that_waited_for_the_database_is_no_ground_for_a_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fake.set_power("on")
    bench.order("off")
    carrier = bench.carrier()
    (hand,) = carrier.claim(limit=1)
    run = carrier.commits.run

    def locked(work: Callable[[Runner], object]) -> object:
        bench.clock.pass_(6)
        return run(work)

    with monkeypatch.context() as patch:
        patch.setattr(carrier.commits, "run", locked)
        assert carrier.step(hand)
    assert bench.commands() == ["power on"]
    assert carrier.step(hand), "a fresh look, and on it goes"
    assert bench.commands() == ["power on", "power off"]
