"""The netboot grant: one-shot, bound to the first claimant, closed by the installation."""

from __future__ import annotations

import datetime as dt

from pxeapp.db import Database
from pxeapp.provisioning import grants, steps
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.provisioning.conftest import ADDRESS, T0

MINUTE = dt.timedelta(minutes=1)


def claim(database: Database, deployment_id: int, address: str, now: dt.datetime) -> str | None:
    with database.write() as session:
        deployment = session.get_one(Deployment, deployment_id)
        refusal = grants.claim(session, deployment, address=address, now=now)
        return refusal.code if refusal else None


def test_first_claim_binds_the_address_and_may_be_repeated_from_there(database: Database, deployment_id: int) -> None:
    assert claim(database, deployment_id, ADDRESS, T0 + MINUTE) is None
    assert claim(database, deployment_id, ADDRESS, T0 + 2 * MINUTE) is None
    with database.read() as session:
        deployment = session.get_one(Deployment, deployment_id)
        assert (deployment.grant, deployment.claimed_address) == (grants.CLAIMED, ADDRESS)


def test_second_claimant_from_another_address_freezes_the_attempt(database: Database, deployment_id: int) -> None:
    claim(database, deployment_id, ADDRESS, T0)
    assert claim(database, deployment_id, "10.77.0.99", T0 + MINUTE) == "second_claimant"
    # From then on nobody gets the installer, the first claimant included.
    assert claim(database, deployment_id, ADDRESS, T0 + 2 * MINUTE) == "not_armed"
    with database.read() as session:
        deployment = session.get_one(Deployment, deployment_id)
        assert deployment.frozen
        assert deployment.grant == grants.DISARMED


def test_grant_runs_out_after_half_an_hour(database: Database, deployment_id: int) -> None:
    assert claim(database, deployment_id, ADDRESS, T0 + grants.ARMED_FOR) == "expired"


def test_no_second_installer_once_the_first_has_started(database: Database, deployment_id: int) -> None:
    claim(database, deployment_id, ADDRESS, T0)
    with database.write() as session:
        steps.advance(
            session,
            session.get_one(Deployment, deployment_id),
            Step.INSTALLING,
            now=T0 + MINUTE,
            source="callback",
            message="started",
        )
    assert claim(database, deployment_id, ADDRESS, T0 + 2 * MINUTE) == "loader_again"
