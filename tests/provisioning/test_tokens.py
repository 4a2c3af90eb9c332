"""Tokens: scoped, bound to one attempt, counted, stored as hashes, dead with the attempt."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from pxeapp.db import Database
from pxeapp.provisioning import tokens
from pxeapp.provisioning.models import Deployment, NodeToken
from pxeapp.provisioning.tokens import CALLBACK, CONFIG, UnknownToken
from pxeapp.vault import Vault
from tests.provisioning.conftest import T0


def token_of(database: Database, vault: Vault, deployment_id: int, scope: str) -> str:
    with database.read() as session:
        return tokens.derive(vault, session.get_one(Deployment, deployment_id), scope)


def redeem(database: Database, token: str, scope: str, now: dt.datetime = T0) -> int:
    with database.write() as session:
        return tokens.redeem(session, token, scope, now=now)


def test_token_opens_its_own_scope_only(database: Database, vault: Vault, deployment_id: int) -> None:
    config = token_of(database, vault, deployment_id, CONFIG)
    assert redeem(database, config, CONFIG) == deployment_id
    with pytest.raises(UnknownToken):
        redeem(database, config, CALLBACK)


def test_config_token_is_good_for_a_few_fetches(database: Database, vault: Vault, deployment_id: int) -> None:
    config = token_of(database, vault, deployment_id, CONFIG)
    for _ in range(tokens.CONFIG_FETCHES):
        redeem(database, config, CONFIG)
    with pytest.raises(UnknownToken):
        redeem(database, config, CONFIG)


def test_tokens_run_out(database: Database, vault: Vault, deployment_id: int) -> None:
    for scope, lifetime in ((CONFIG, tokens.CONFIG_LIFETIME), (CALLBACK, dt.timedelta(hours=5))):
        with pytest.raises(UnknownToken):
            redeem(database, token_of(database, vault, deployment_id, scope), scope, T0 + lifetime)


def test_neither_token_is_stored_readably(database: Database, vault: Vault, deployment_id: int) -> None:
    secrets = {token_of(database, vault, deployment_id, scope) for scope in (CONFIG, CALLBACK)}
    assert all(len(secret) >= 43 for secret in secrets), "256 bits in base64"
    with database.read() as session:
        stored = {row.token_hash for row in session.scalars(select(NodeToken))}
    assert len(stored) == 2
    assert not stored & secrets


def test_each_attempt_has_tokens_of_its_own(database: Database, vault: Vault, deployment_id: int) -> None:
    with database.write() as session:
        first = session.get_one(Deployment, deployment_id)
        first.outcome = "failed"
        second = Deployment(
            machine_id=first.machine_id,
            attempt=2,
            release="rocky-9",
            role="base",
            requested_by="user:ada",
            requested_at=T0,
            step_since=T0,
            step_deadline=T0,
            deadline=T0 + dt.timedelta(hours=4),
            due_at=T0,
        )
        session.add(second)
        session.flush()
        assert tokens.derive(vault, first, CALLBACK) != tokens.derive(vault, second, CALLBACK)


def test_after_the_end_callback_lives_for_the_grace_only(database: Database, vault: Vault, deployment_id: int) -> None:
    callback = token_of(database, vault, deployment_id, CALLBACK)
    config = token_of(database, vault, deployment_id, CONFIG)
    with database.write() as session:
        tokens.expire(session, session.get_one(Deployment, deployment_id), now=T0)
    with pytest.raises(UnknownToken):
        redeem(database, config, CONFIG)
    assert redeem(database, callback, CALLBACK, T0 + tokens.GRACE - dt.timedelta(seconds=1)) == deployment_id
    with pytest.raises(UnknownToken):
        redeem(database, callback, CALLBACK, T0 + tokens.GRACE)


@pytest.mark.parametrize("guess", ["", "x", "A" * 43, "é" * 50, "A" * 100_000, "' OR 1=1 --"])
def test_guesses_open_nothing(database: Database, deployment_id: int, guess: str) -> None:
    with pytest.raises(UnknownToken):
        redeem(database, guess, CALLBACK)
