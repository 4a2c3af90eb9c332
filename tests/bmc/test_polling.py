"""Power is looked at once a minute, by one worker, and never while an action runs."""

from __future__ import annotations

import datetime as dt

import pytest

from pxeapp.bmc import polling
from pxeapp.bmc.polling import Poller
from pxeapp.commits import GroupCommit
from pxeapp.lab.fleet.bmcs import BmcFleet
from pxeapp.machines.models import Bmc, Machine
from tests.bmc.conftest import T0, Bench


def poller(bench: Bench) -> Poller:
    return Poller(bench.database, bench.connector, GroupCommit(bench.database))


def machine(bench: Bench) -> Machine:
    with bench.database.read() as session:
        return session.get_one(Machine, bench.machine_id)


def test_one_worker_takes_a_machine_and_the_next_minute_it_is_due_again(bench: Bench) -> None:
    one, other = poller(bench), poller(bench)
    assert one.claim("well", now=T0, limit=5) == [bench.machine_id]
    one.look(bench.machine_id, now=T0)
    assert other.claim("well", now=T0, limit=5) == []
    assert other.claim("well", now=T0 + polling.EVERY, limit=5) == [bench.machine_id]


def test_what_is_seen_is_kept_and_counts_as_no_change_of_the_record(bench: Bench) -> None:
    bench.fake.set_power("on")
    version = machine(bench).version
    assert poller(bench).look(bench.machine_id, now=T0) == "on"
    assert (machine(bench).power, machine(bench).power_seen_at) == ("on", T0)
    assert machine(bench).version == version


def test_silent_bmc_is_unknown_and_waits_in_the_sick_lane(bench: Bench) -> None:
    bench.fake.behave("silent")
    look = poller(bench)
    look.claim("well", now=T0, limit=5)
    assert look.look(bench.machine_id, now=T0) == "unknown"
    assert machine(bench).power == "unknown"
    later = T0 + polling.EVERY
    assert look.claim("well", now=later, limit=5) == []
    assert look.claim("sick", now=later, limit=5) == [bench.machine_id]
    bench.fake.behave("answering")
    look.look(bench.machine_id, now=later)
    assert look.claim("well", now=later + polling.EVERY, limit=5) == [bench.machine_id]


def test_nothing_is_polled_during_an_action(bench: Bench) -> None:
    look = poller(bench)
    assert look.claim("well", now=T0, limit=5) == [bench.machine_id]
    bench.order("on")
    look.look(bench.machine_id, now=T0)
    assert machine(bench).power == "unknown", "the action knows better than a poll that began before it"
    assert look.claim("well", now=T0 + polling.EVERY, limit=5) == []
    assert look.claim("sick", now=T0 + polling.EVERY, limit=5) == []


def test_clock_that_was_set_back_stops_no_polling(bench: Bench) -> None:
    look = poller(bench)
    look.claim("well", now=T0, limit=5)
    look.look(bench.machine_id, now=T0)
    assert look.claim("well", now=T0 - dt.timedelta(days=1), limit=5) == [bench.machine_id]


def test_machine_without_bmc_is_nobodys_business(bench: Bench) -> None:
    with bench.database.write() as session:
        session.get_one(Machine, bench.machine_id).bmc = None
    assert poller(bench).claim("well", now=T0, limit=5) == []
    assert poller(bench).look(bench.machine_id, now=T0) == "unknown"


@pytest.mark.network
def test_wrong_password_is_not_tried_every_minute_and_a_corrected_one_at_once(bench: Bench) -> None:
    with BmcFleet(username="admin", password="secret") as fleet:
        bmc = fleet.add("node1")
        bmc.power = True
        use(bench, Bmc(type="ipmi", address=bmc.address, port=bmc.port, username="admin", cipher_suite=17), "hunter2")
        look = poller(bench)
        for minute in range(29):
            assert look.look(bench.machine_id, now=T0 + minute * polling.EVERY) == "unknown"
        assert len(bmc.logins) == 1
        assert look.look(bench.machine_id, now=T0 + polling.REFUSED_EVERY) == "unknown"
        assert len(bmc.logins) == 2
        use(bench, None, "secret")
        assert look.look(bench.machine_id, now=T0 + polling.REFUSED_EVERY + polling.EVERY) == "on"


def use(bench: Bench, bmc: Bmc | None, password: str) -> None:
    """Another BMC for the machine, if given, and its password as we know it."""
    with bench.database.write() as session:
        row = session.get_one(Machine, bench.machine_id)
        if bmc is not None:
            row.bmc = None
            session.flush()
            row.bmc = bmc
        assert row.bmc is not None
        row.bmc.password_encrypted = bench.connector.vault.encrypt(password)
