"""The step table: forwards only, with a persisted deadline and the evidence kept."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from pxeapp.db import Database
from pxeapp.machines.models import Event
from pxeapp.provisioning import causes, steps
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import ORDER, Step
from tests.provisioning.conftest import T0

LATER = T0 + dt.timedelta(minutes=5)


def advance(database: Database, deployment_id: int, step: Step, now: dt.datetime = LATER) -> bool:
    with database.write() as session:
        deployment = session.get_one(Deployment, deployment_id)
        return steps.advance(session, deployment, step, now=now, source="tftp", message=f"saw {step}", file="x")


def test_later_evidence_implies_the_steps_before_it(database: Database, deployment_id: int) -> None:
    assert advance(database, deployment_id, Step.KERNEL_FETCHED)
    with database.read() as session:
        deployment = session.get_one(Deployment, deployment_id)
        assert deployment.step == Step.KERNEL_FETCHED
        assert deployment.step_since == LATER
        assert deployment.step_deadline == LATER + steps.WAITS[Step.KERNEL_FETCHED].allowance
        assert deployment.steps[-1]["evidence"] == {"file": "x"}


def test_steps_never_go_back_and_repeat_nothing(database: Database, deployment_id: int) -> None:
    assert advance(database, deployment_id, Step.INSTALLING)
    for step in ORDER[: steps.rank(Step.INSTALLING) + 1]:
        assert not advance(database, deployment_id, step)
    with database.read() as session:
        assert len(session.scalars(select(Event).where(Event.kind == Step.INSTALLING)).all()) == 1


def test_a_finished_attempt_does_not_move(database: Database, deployment_id: int) -> None:
    with database.write() as session:
        session.get_one(Deployment, deployment_id).outcome = "failed"
    assert not advance(database, deployment_id, Step.INSTALLED)


def test_no_wait_outlives_the_attempt(database: Database, deployment_id: int) -> None:
    late = T0 + steps.WHOLE_ATTEMPT - dt.timedelta(minutes=1)
    advance(database, deployment_id, Step.INSTALLING, late)
    with database.read() as session:
        deployment = session.get_one(Deployment, deployment_id)
        assert deployment.step_deadline == deployment.deadline


@pytest.mark.parametrize("step", ORDER[:-1])
def test_every_step_but_the_last_has_a_wait_and_its_stall_has_causes(step: Step) -> None:
    wait = steps.WAITS[step]
    assert wait.allowance > dt.timedelta(0)
    assert causes.of(wait.stall_code)
