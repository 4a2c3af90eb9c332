"""Admission: never more at once than allowed, one after another, in the order of the orders, and nobody forgotten."""

from __future__ import annotations

import datetime as dt
import itertools
import threading

import pytest
from sqlalchemy import select

from pxeapp.bmc.models import PowerAction
from pxeapp.db import Database
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Bmc, Event, Machine
from pxeapp.provisioning import admission, explain, steps
from pxeapp.provisioning.admission import LOADING, Limits
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.reconciler import Reconciler
from pxeapp.provisioning.steps import Step
from pxeapp.vault import Vault
from tests.provisioning.conftest import T0, add_deployment

SECOND = dt.timedelta(seconds=1)


def ordered(database: Database, count: int) -> list[int]:
    """So many deployments of as many machines, in this order."""
    found = []
    with database.write() as session:
        for number in range(count):
            machine = Machine(
                name=f"node{number}",
                mac=f"52:54:00:00:01:{number:02x}",
                state=State.DEPLOYING,
                created_at=T0,
                updated_at=T0,
            )
            machine.bmc = Bmc(type="fake", address=f"node{number}")
            session.add(machine)
            session.flush()
            deployment = add_deployment(session, machine)
            deployment.deadline = T0 + admission.PATIENCE
            found.append(deployment.id)
    return found


def look_at_all(database: Database, reconciler: Reconciler, now: dt.datetime) -> None:
    with database.read() as session:
        due = select(Deployment.id).where(Deployment.outcome.is_(None), Deployment.due_at <= now)
        waiting = list(session.scalars(due.order_by(Deployment.id)))
    for deployment_id in waiting:
        reconciler.look(deployment_id, now=now)


def install(database: Database, step: Step, *, after: dt.timedelta, now: dt.datetime) -> int:
    """Whoever was admitted that long ago reaches this step; returns how many load the network now."""
    with database.write() as session:
        for row in session.scalars(select(Deployment).where(Deployment.admitted_at <= now - after)):
            steps.advance(session, row, step, now=now, source="test", message="It went on.")
        return len(session.scalars(select(Deployment.id).where(Deployment.step.in_(LOADING))).all())


def test_never_more_than_allowed_install_at_once_and_everyone_has_a_turn(database: Database, vault: Vault) -> None:
    limits = Limits(at_once=7, per_minute=120)
    reconciler = Reconciler(database, vault, "worker:1", limits)
    orders = ordered(database, 40)
    most = 0
    for second in range(0, 600, 5):
        now = T0 + second * SECOND
        look_at_all(database, reconciler, now)
        most = max(most, install(database, Step.INSTALLED, after=30 * SECOND, now=now))
    with database.read() as session:
        rows = session.scalars(select(Deployment).order_by(Deployment.id)).all()
    assert most == 7
    assert all(row.step == Step.INSTALLED and row.outcome is None for row in rows)
    turns = [row.admitted_at for row in rows if row.admitted_at]
    assert len(turns) == len(orders)
    assert turns == sorted(turns), "the first to be ordered is the first to be admitted"
    assert all(later - earlier >= limits.gap for earlier, later in itertools.pairwise(turns))


def test_the_power_feed_sees_one_machine_after_another(database: Database, vault: Vault) -> None:
    reconciler = Reconciler(database, vault, "worker:1", Limits(at_once=100, per_minute=240))
    ordered(database, 100)
    for second in range(0, 60, 5):
        look_at_all(database, reconciler, T0 + second * SECOND)
    with database.read() as session:
        starts = sorted(session.scalars(select(PowerAction.due_at)))
    gaps = {later - earlier for earlier, later in itertools.pairwise(starts)}
    assert len(starts) == 100
    assert gaps == {dt.timedelta(milliseconds=250)}, "evenly spread, and no time is wasted between two looks"


def test_a_machine_that_waits_says_for_what_and_does_not_count_as_stuck(database: Database, vault: Vault) -> None:
    reconciler = Reconciler(database, vault, "worker:1", Limits(at_once=1, per_minute=60))
    _first, second = ordered(database, 2)
    for hour in range(23):
        look_at_all(database, reconciler, T0 + dt.timedelta(hours=hour))
        with database.write() as session:  # the first installs and installs
            session.get_one(Deployment, _first).due_at = T0 + dt.timedelta(days=9)
    now = T0 + dt.timedelta(hours=22, seconds=10)
    with database.read() as session:
        waiting = session.get_one(Deployment, second)
        told = explain.explain(session, session.get_one(Machine, waiting.machine_id), now)
        noted = session.scalars(select(Event).where(Event.deployment_id == second, Event.kind == "queued")).all()
    assert waiting.outcome is None
    assert waiting.step == Step.REQUESTED
    assert waiting.step_deadline > now
    assert len(noted) == 1, "said once, not at every look"
    assert "1 install now, 1 may, 0 are before it" in told.summary
    assert told.code == "no_turn"
    assert "PXEAPP_INSTALLS_AT_ONCE" in told.causes[0].cause


def test_an_order_that_nobody_came_to_within_a_day_ends_with_the_reason(database: Database, vault: Vault) -> None:
    reconciler = Reconciler(database, vault, "worker:1", Limits(at_once=1, per_minute=60))
    first, second = ordered(database, 2)
    look_at_all(database, reconciler, T0)
    with database.write() as session:
        session.get_one(Deployment, first).due_at = T0 + dt.timedelta(days=9)
    look_at_all(database, reconciler, T0 + admission.PATIENCE)
    with database.read() as session:
        ended = session.get_one(Deployment, second)
    assert ended.outcome == "failed"
    assert ended.reason_code == "no_turn"
    assert "waited 24 h for its turn" in ended.reason


def test_the_whole_attempt_has_its_time_from_its_turn_on(database: Database, vault: Vault) -> None:
    reconciler = Reconciler(database, vault, "worker:1", Limits(at_once=1, per_minute=60))
    first, second = ordered(database, 2)
    look_at_all(database, reconciler, T0)
    late = T0 + dt.timedelta(hours=10)
    with database.write() as session:
        steps.advance(
            session, session.get_one(Deployment, first), Step.INSTALLED, now=late, source="t", message="Done."
        )
    reconciler.look(second, now=late + dt.timedelta(minutes=1))
    with database.read() as session:
        row = session.get_one(Deployment, second)
    assert row.step == Step.ARMED
    assert row.admitted_at is not None
    assert row.deadline == row.admitted_at + steps.WHOLE_ATTEMPT


def test_a_clock_that_was_set_back_stops_no_start(database: Database, vault: Vault) -> None:
    reconciler = Reconciler(database, vault, "worker:1", Limits(at_once=10, per_minute=60))
    first, second = ordered(database, 2)
    tomorrow = T0 + dt.timedelta(days=1)
    with database.write() as session:
        session.get_one(Deployment, first).admitted_at = tomorrow
        session.get_one(Deployment, first).step = Step.INSTALLED
    reconciler.look(second, now=T0 + SECOND)
    with database.read() as session:
        assert session.get_one(Deployment, second).step == Step.ARMED


@pytest.mark.postgresql
def test_two_workers_together_admit_no_more_than_one_would(postgresql_database: Database, vault: Vault) -> None:
    limits = Limits(at_once=5, per_minute=60_000)
    orders = ordered(postgresql_database, 30)
    workers = [Reconciler(postgresql_database, vault, f"worker:{number}", limits) for number in range(4)]

    def work(reconciler: Reconciler) -> None:
        for deployment_id in orders:
            reconciler.look(deployment_id, now=T0 + SECOND)

    threads = [threading.Thread(target=work, args=(reconciler,)) for reconciler in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with postgresql_database.read() as session:
        assert len(session.scalars(select(Deployment.id).where(Deployment.step == Step.ARMED)).all()) == 5
