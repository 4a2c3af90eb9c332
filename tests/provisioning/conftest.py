"""A machine with a running deployment, in a real database."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from pxeapp.db import Database
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import grants, steps
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from pxeapp.vault import Vault, open_vault
from tests.provisioning.rack import rack, rack_database_url

__all__ = ["rack", "rack_database_url"]

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
MAC = "52:54:00:00:00:01"
ADDRESS = "10.77.0.11"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(tmp_path)


def add_machine(session: Session, *, name: str = "node1", mac: str = MAC, state: str = State.DEPLOYING) -> Machine:
    machine = Machine(name=name, mac=mac, state=state, created_at=T0, updated_at=T0)
    session.add(machine)
    session.flush()
    return machine


def add_deployment(session: Session, machine: Machine, *, step: Step = Step.REQUESTED, attempt: int = 1) -> Deployment:
    deployment = Deployment(
        machine_id=machine.id,
        attempt=attempt,
        release="rocky-9",
        role="base",
        requested_by="user:ada",
        requested_at=T0,
        step=step,
        step_since=T0,
        step_deadline=T0 + dt.timedelta(minutes=30),
        deadline=T0 + steps.WHOLE_ATTEMPT,
        due_at=T0,
    )
    session.add(deployment)
    session.flush()
    return deployment


@pytest.fixture
def deployment_id(database: Database, vault: Vault) -> int:
    """An armed deployment of node1."""
    with database.write() as session:
        deployment = add_deployment(session, add_machine(session), step=Step.ARMED)
        grants.arm(session, vault, deployment, now=T0)
        return deployment.id
