"""Orders to a BMC: asked by the worker only, one at a time, and what was said is kept with its time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select

from pxeapp.appliance import observing
from pxeapp.audit import AuditRow
from pxeapp.bmc import orders
from pxeapp.bmc.asking import Asker
from pxeapp.bmc.models import BmcOrder, SelEntry
from pxeapp.bmc.readings import Override
from pxeapp.errors import Conflict, NotFound, PxeError
from pxeapp.machines.models import Event, Machine
from tests.bmc.conftest import Bench


def order(bench: Bench, kind: orders.Kind, **argument: Any) -> int:
    with bench.database.write() as session:
        return orders.request(
            session, machine_id=bench.machine_id, kind=kind, requested_by="user:ada", now=bench.clock(),
            argument=argument,
        ).id  # fmt: skip


def asker(bench: Bench, owner: str = "worker:1") -> Asker:
    return Asker(bench.database, bench.connector, bench.carrier().commits, owner, bench.clock)


def carry_out(bench: Bench, number: int) -> BmcOrder:
    worker = asker(bench)
    for _ in range(10):
        for asked in worker.claim(limit=5):
            worker.carry_out(asked)
        with bench.database.read() as session:
            found = session.get_one(BmcOrder, number)
            if found.outcome:
                return found
        bench.clock.pass_(1)
    raise AssertionError("it was never carried out")


def fact(bench: Bench, kind: str) -> dict[str, Any]:
    with bench.database.read() as session:
        found = orders.fact(session, bench.machine_id, kind)
        assert found is not None
        assert found.seen_at <= bench.clock()
        return found.value


def test_sensors_are_kept_with_thresholds_and_the_worst_health(bench: Bench) -> None:
    with bench.fake._state() as state:
        state["sensors"] = [
            {"name": "Inlet", "value": 47.0, "unit": "°C", "healthy": False, "health": "critical",
             "states": ["upper critical threshold"], "thresholds": {"upper_critical": 42.0}},
            {"name": "PSU 2", "value": None, "unit": "", "healthy": True, "health": "unavailable"},
        ]  # fmt: skip
    assert carry_out(bench, order(bench, "sensors")).outcome == "done"
    value = fact(bench, "sensors")
    assert value["health"] == "critical"
    assert value["items"][0]["thresholds"] == {"upper_critical": 42.0}
    assert value["items"][0]["states"] == ["upper critical threshold"]


def test_a_question_that_waits_is_not_asked_twice(bench: Bench) -> None:
    assert order(bench, "sensors") == order(bench, "sensors")
    assert order(bench, "sel") != order(bench, "sensors")


def test_one_order_at_a_time_for_each_bmc(bench: Bench) -> None:
    order(bench, "sensors")
    order(bench, "sel")
    first = asker(bench).claim(limit=5)
    assert len(first) == 1
    assert asker(bench, "worker:2").claim(limit=5) == [], "its BMC is being asked"
    asker(bench).carry_out(first[0])
    assert asker(bench, "worker:2").claim(limit=5) == [], "a little spacing"
    bench.clock.pass_(orders.SPACING.total_seconds() + 0.1)
    assert len(asker(bench, "worker:2").claim(limit=5)) == 1


def test_a_power_action_and_an_order_never_talk_to_a_bmc_at_once(bench: Bench) -> None:
    order(bench, "sensors")
    held = asker(bench).claim(limit=5)
    power = bench.order("on")
    assert bench.carrier().claim(limit=5) == [], "a reading in hand is let finish"
    asker(bench).carry_out(held[0])
    bench.clock.pass_(2)
    order(bench, "sel")
    assert asker(bench).claim(limit=5) == [], "power goes before questions"
    assert bench.finish(power).outcome == "done"
    assert len(asker(bench).claim(limit=5)) == 1


def test_after_a_crash_the_order_is_taken_up_again_and_the_dead_worker_writes_nothing(bench: Bench) -> None:
    number = order(bench, "sensors")
    (old,) = asker(bench).claim(limit=5)
    bench.clock.pass_(orders.LEASE.total_seconds() + 1)
    (new,) = asker(bench, "worker:2").claim(limit=5)
    asker(bench).carry_out(old)
    with bench.database.read() as session:
        assert session.get_one(BmcOrder, number).outcome is None
        assert orders.fact(session, bench.machine_id, "sensors") is None
    asker(bench, "worker:2").carry_out(new)
    assert carry_out(bench, number).outcome == "done"


def test_an_order_that_nobody_carried_out_in_time_says_so(bench: Bench) -> None:
    number = order(bench, "sensors")
    bench.clock.pass_(orders.TIME.total_seconds() + 1)
    ended = carry_out(bench, number)
    assert (ended.outcome, ended.error_code) == ("failed", "too_late")
    assert "bmc-worker" in ended.error


@pytest.mark.parametrize(
    ("illness", "code"), [("silent", "unreachable"), ("garbage", "confused"), ("wrong_password", "wrong_password")]
)
def test_a_sick_bmc_fails_the_order_and_what_was_read_before_stays(bench: Bench, illness: Any, code: str) -> None:
    carry_out(bench, order(bench, "sensors"))
    before = fact(bench, "sensors")
    bench.clock.pass_(5)
    bench.fake.behave(illness)
    ended = carry_out(bench, order(bench, "sensors"))
    assert (ended.outcome, ended.error_code) == ("failed", code)
    assert fact(bench, "sensors") == before


def test_the_boot_device_is_set_read_back_and_told(bench: Bench) -> None:
    wanted = Override("setup", persistent=False)
    with bench.database.write() as session:
        number = orders.request_override(
            session, machine_id=bench.machine_id, wanted=wanted, requested_by="user:ada", now=bench.clock()
        ).id
    assert carry_out(bench, number).outcome == "done"
    assert fact(bench, "boot_device")["device"] == "setup"
    assert "override setup" in bench.commands()
    with bench.database.read() as session:
        assert "set to setup" in session.scalars(select(Event.message)).all()[-1]
        assert session.scalars(select(AuditRow.action)).all()[-1] == "bmc.set_boot_device"


@pytest.mark.parametrize(("illness", "code"), [("lying", "boot_device"), ("losing_replies", "unconfirmed")])
def test_a_boot_device_that_did_not_take_is_no_success(bench: Bench, illness: Any, code: str) -> None:
    carry_out(bench, order(bench, "set_boot_device", device="disk", persistent=True, uefi=False))
    bench.clock.pass_(5)
    bench.fake.behave(illness)
    ended = carry_out(bench, order(bench, "set_boot_device", device="network", persistent=True, uefi=False))
    assert (ended.outcome, ended.error_code) == ("failed", code)


def test_the_event_log_is_kept_once_and_stays_when_it_is_cleared(bench: Bench) -> None:
    bench.fake.log("power supply failure", "power supply back")
    carry_out(bench, order(bench, "sel"))
    bench.fake.log("fan failure")
    carry_out(bench, order(bench, "sel"))
    assert fact(bench, "sel")["new"] == 1
    bench.fake.log("said just before")
    assert carry_out(bench, order(bench, "clear_sel")).outcome == "done"
    assert "clear log" in bench.commands()
    with bench.database.read() as session:
        kept = session.scalars(select(SelEntry.event).order_by(SelEntry.id)).all()
    assert kept == ["power supply failure", "power supply back", "fan failure", "said just before"]
    assert fact(bench, "sel")["entries"] == 0


def test_what_is_kept_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "KEPT_ORDERS", 2)
    monkeypatch.setattr(orders, "KEPT_ENTRIES", 3)
    bench.fake.log(*(f"event {number}" for number in range(6)))
    for _ in range(5):
        carry_out(bench, order(bench, "sel"))
    with bench.database.read() as session:
        assert session.scalar(select(func.count()).select_from(BmcOrder)) == 2
        assert session.scalars(select(SelEntry.event).order_by(SelEntry.id)).all() == ["event 3", "event 4", "event 5"]


def test_while_we_only_observe_questions_are_asked_and_nothing_is_changed(bench: Bench) -> None:
    with bench.database.write() as session:
        observing.begin(session, reason="a restored copy", actor="user:ada", now=bench.clock())
    assert carry_out(bench, order(bench, "sensors")).outcome == "done"
    with pytest.raises(PxeError, match="observe"):
        order(bench, "identify", seconds=15)


def test_without_a_bmc_there_is_nothing_to_ask(bench: Bench) -> None:
    with bench.database.write() as session:
        session.get_one(Machine, bench.machine_id).bmc = None
    with pytest.raises(Conflict, match="no BMC"):
        order(bench, "sensors")


def test_an_order_of_another_machine_is_not_found(bench: Bench) -> None:
    number = order(bench, "sensors")
    with bench.database.read() as session, pytest.raises(NotFound):
        orders.get(session, bench.machine_id + 1, number)


def test_a_lease_from_a_clock_that_was_set_back_blocks_nobody(bench: Bench) -> None:
    order(bench, "sensors")
    asker(bench).claim(limit=1)
    bench.clock.now -= dt.timedelta(days=1)
    with bench.database.write() as session:
        session.scalars(select(BmcOrder)).one().due_at = bench.clock()
    assert len(asker(bench, "worker:2").claim(limit=1)) == 1
