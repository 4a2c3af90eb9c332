"""The breaker: installing fails in general, so what works is not erased; a person looks, resets it, and it goes on."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import breaker, lifecycle
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.reconciler import Reconciler
from pxeapp.provisioning.steps import Step
from pxeapp.vault import Vault
from tests.provisioning.conftest import T0, add_deployment, add_machine

MINUTE = dt.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("newest_first", "opens"),
    [
        ("", False),
        ("ff", False),  # two may be two bad machines
        ("fff", True),
        ("fffsss", False),  # half is not more than half
        ("ffffsss", True),
        ("fssssfffff", True),
        ("fsssssffff", False),
        ("s" * 10 + "f" * 20, False),  # long ago
    ],
)
def test_more_than_half_of_the_last_ten_and_at_least_three(newest_first: str, opens: bool) -> None:
    assert breaker.judge([each == "f" for each in newest_first]) is opens


def end(database: Database, number: int, *, well: bool) -> None:
    """One machine's first attempt ends."""
    with database.write() as session:
        machine = add_machine(session, name=f"n{number}", mac=f"52:54:00:00:02:{number:02x}")
        deployment = add_deployment(session, machine, step=Step.FIRST_BOOT)
        now = T0 + number * MINUTE
        if well:
            lifecycle.succeed(session, machine, deployment, now=now)
        else:
            lifecycle.fail(session, machine, deployment, code="x", reason="It failed.", now=now)


def opened(database: Database) -> str:
    with database.read() as session:
        return breaker.holds(session)


def order_again(database: Database, number: int) -> int:
    with database.write() as session:
        machine = session.scalars(select(Machine).where(Machine.name == f"n{number}")).one()
        machine.state = State.DEPLOYING
        return add_deployment(session, machine, attempt=2).id


def test_what_works_waits_and_new_machines_go_on_until_somebody_resets_it(database: Database, vault: Vault) -> None:
    end(database, 0, well=True)
    end(database, 1, well=False)
    end(database, 2, well=False)
    assert not opened(database)
    end(database, 3, well=False)
    assert opened(database) == "reinstalling is stopped, since 3 of the last 4 installations failed"
    works, failed_before = order_again(database, 0), order_again(database, 1)
    reconciler = Reconciler(database, vault, "a")
    now = T0 + 10 * MINUTE
    for number in (works, failed_before):
        assert reconciler.look(number, now=now)
    with database.read() as session:
        held = session.get_one(Deployment, works)
        assert held.step == Step.REQUESTED
        assert held.progress == f"It waits for its turn: {opened(database)}."
        assert session.get_one(Deployment, failed_before).step == Step.ARMED
    with database.write() as session:
        breaker.reset(session, actor="user:ada", now=now)
    assert not opened(database)
    assert reconciler.look(works, now=now + MINUTE)
    with database.read() as session:
        assert session.get_one(Deployment, works).step == Step.ARMED
        said = session.scalars(select(AuditRow.action).where(AuditRow.subject == "breaker")).all()
    assert list(said) == ["breaker.open", "breaker.reset"]


def test_what_failed_before_the_reset_is_not_counted_again_and_a_closed_one_is_not_reset(database: Database) -> None:
    with database.write() as session, pytest.raises(Conflict, match="not open"):
        breaker.reset(session, actor="user:ada", now=T0)
    for number in range(3):
        end(database, number, well=False)
    with database.write() as session:
        breaker.reset(session, actor="user:ada", now=T0)
    end(database, 4, well=False)
    end(database, 5, well=False)
    assert not opened(database)
    end(database, 6, well=False)
    assert opened(database)
    with database.read() as session:
        assert breaker.state(session)["open"] is True
