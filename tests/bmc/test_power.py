"""Power actions against a BMC with every illness: each command at most once, success only by observation."""

from __future__ import annotations

import datetime as dt

import pytest

from pxeapp.bmc import power
from pxeapp.bmc.errors import BmcUnreachable
from pxeapp.bmc.power import Observation, PowerTimings, Standing, decide
from pxeapp.errors import Conflict, Invalid
from pxeapp.machines.models import Machine
from tests.bmc.conftest import T0, Bench


def switch_on(bench: Bench) -> None:
    bench.fake.set_power("on")


def test_netboot_of_a_running_machine_is_off_boot_device_on(bench: Bench) -> None:
    switch_on(bench)
    action = bench.finish(bench.order("netboot"))
    assert action.outcome == power.DONE
    assert bench.commands() == ["power on", "power off", "boot network", "power on"]
    assert [entry["phase"] for entry in action.log] == [
        "off_intended",
        "off_sent",
        "boot_due",
        "boot_intended",
        "boot_sent",
        "on_due",
        "on_intended",
        "on_sent",
        "done",
    ]


def test_a_machine_that_is_off_is_not_told_to_go_off(bench: Bench) -> None:
    action = bench.finish(bench.order("netboot"))
    assert action.outcome == power.DONE
    assert bench.commands() == ["boot network", "power on"]


def test_power_commands_keep_their_distance(bench: Bench) -> None:
    switch_on(bench)
    action = bench.finish(bench.order("cycle"))
    at = {entry["phase"]: dt.datetime.fromisoformat(entry["at"]) for entry in action.log}
    assert at["on_intended"] - at["off_intended"] >= PowerTimings().gap


@pytest.mark.parametrize("illness", ["losing_one_reply", "losing_replies", "slow"])
def test_lost_and_late_replies_cost_nothing_and_repeat_nothing(
    bench: Bench, illness: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pxeapp.bmc.fake.SLOW_S", 0.0)
    switch_on(bench)
    bench.fake.behave(illness)  # type: ignore[arg-type]
    action = bench.finish(bench.order("cycle"))
    assert action.outcome == power.DONE
    assert bench.commands() == ["power on", "power off", "power on"]


def test_a_lying_bmc_is_unconfirmed_after_one_command(bench: Bench) -> None:
    switch_on(bench)
    bench.fake.behave("lying")
    action = bench.finish(bench.order("off"))
    assert (action.outcome, action.error_code) == (power.UNCONFIRMED, "unconfirmed")
    assert bench.commands() == ["power on", "power off"]


@pytest.mark.parametrize(
    ("illness", "code"),
    [
        ("silent", "unreachable"),
        ("garbage", "confused"),
        ("wrong_password", "wrong_password"),
        ("refusing", "refused"),
    ],
)
def test_each_illness_has_its_own_name(bench: Bench, illness: str, code: str) -> None:
    switch_on(bench)
    bench.fake.behave(illness)  # type: ignore[arg-type]
    action = bench.finish(bench.order("off"))
    assert (action.outcome, action.error_code) == (power.FAILED, code)
    assert action.error
    assert bench.commands().count("power off") <= 1


def test_wrong_password_is_not_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fake.behave("wrong_password")
    action_id = bench.order("off")
    started = bench.clock.now
    bench.finish(action_id)
    assert bench.clock.now - started < dt.timedelta(seconds=2), "a second try may lock the account"


def test_one_action_at_a_time_per_machine(bench: Bench) -> None:
    bench.order("on")
    with pytest.raises(Conflict, match="already being switched"):
        bench.order("off")


def test_unknown_goal_is_refused_with_the_field(bench: Bench) -> None:
    with pytest.raises(Invalid) as caught:
        bench.order("reset")  # type: ignore[arg-type]
    assert caught.value.problems[0].field == "action"


def test_power_is_kept_with_three_values(bench: Bench) -> None:
    bench.finish(bench.order("on"))
    with bench.database.read() as session:
        assert session.get_one(Machine, bench.machine_id).power == "on"
    bench.fake.behave("silent")
    action_id = bench.order("off")
    bench.finish(action_id)
    with bench.database.read() as session:
        assert session.get_one(Machine, bench.machine_id).power == "unknown"


def test_nothing_acts_on_unknown() -> None:
    standing = Standing("off", "off_due", T0, T0 + dt.timedelta(minutes=5))
    assert decide(standing, Observation(T0, "unknown")).do == "observe"
    trouble = BmcUnreachable("10.0.0.7:623", 15)
    assert decide(standing, Observation(T0, "unknown", trouble=trouble)).do == "observe"


def test_cancelling_stops_before_the_next_command(bench: Bench) -> None:
    switch_on(bench)
    action_id = bench.order("netboot")
    carrier = bench.carrier()
    (hand,) = carrier.claim(limit=1)
    assert carrier.step(hand)  # off was sent
    with bench.database.write() as session:
        power.cancel(session, action_id, now=bench.clock())
    assert not carrier.step(hand)
    assert bench.commands() == ["power on", "power off"]
    assert bench.action(action_id).outcome == power.CANCELLED


def test_next_command_is_due_when_the_pause_is_over_and_not_a_look_later(bench: Bench) -> None:
    bench.fake.set_power("on")
    bench.order("cycle")
    carrier = bench.carrier()
    (hand,) = carrier.claim(limit=1)
    assert carrier.step(hand)
    assert bench.commands()[1:] == ["power off"]
    bench.clock.pass_(1.4)
    assert carrier.step(hand)
    assert bench.commands()[1:] == ["power off"], "seen off, and too early to go on"
    assert hand.next_at == T0 + carrier.timings.gap
    bench.clock.pass_(0.6)
    assert carrier.step(hand)
    assert bench.commands()[1:] == ["power off", "power on"]
