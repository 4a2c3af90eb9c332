"""A token for name and password: as hard to get as a session, never for ever, and no further than its user."""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.accounts import by_password, second_factor, service, throttle, totp
from pxeapp.accounts.by_password import Credentials, Wanted
from pxeapp.accounts.models import ApiToken, User
from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, TooMany, Unauthenticated
from pxeapp.vault import Vault

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def vault() -> Vault:
    return Vault(os.urandom(32))


@pytest.fixture
def ada(database: Database) -> int:
    with database.write() as session:
        return service.create_user(session, name="ada", role="operator", password=PASSWORD, actor="t", now=T0).id


def asked(database: Database, vault: Vault, password: str = PASSWORD, code: str = "", **more: Any) -> Any:
    now, address = more.pop("now", T0), more.pop("address", "10.0.0.1")
    roles, name = more.pop("totp_roles", ()), more.pop("user", "ada")
    return by_password.token(
        database, vault, Credentials(name, password, code), Wanted("notebook", **more), address=address,
        totp_roles=roles, now=now,
    )  # fmt: skip


def with_second_factor(database: Database, vault: Vault, number: int) -> str:
    with database.write() as session:
        secret = second_factor.begin(session, vault, session.get_one(User, number))
        first = totp.code(secret, totp.step_of(T0) - 1)
        second_factor.confirm(session, vault, session.get_one(User, number), first, now=T0)
    return secret


@pytest.mark.usefixtures("ada")
def test_it_is_its_users_and_ends(database: Database, vault: Vault) -> None:
    row, secret = asked(database, vault, days=3, role="admin", read_only=True)
    assert (row.role, row.read_only, row.expires_at) == ("operator", True, T0 + dt.timedelta(days=3))
    with database.read() as session:
        actor, _ = service.by_token(session, secret, now=T0 + dt.timedelta(days=2))
        assert (actor.role, actor.read_only) == ("operator", True)
        with pytest.raises(Unauthenticated):
            service.by_token(session, secret, now=T0 + dt.timedelta(days=3))
        rows = session.scalars(select(AuditRow).where(AuditRow.actor == "user:ada").order_by(AuditRow.id)).all()
    assert [each.action for each in rows] == ["session.begin", "token.create"]
    assert rows[0].details["method"] == "password, for a token"
    assert PASSWORD not in json.dumps([each.details for each in rows])
    assert secret not in json.dumps([each.details for each in rows])


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(("user", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("a\0", PASSWORD)])
def test_whatever_is_wrong_is_the_same_and_makes_nothing(
    database: Database, vault: Vault, user: str, password: str
) -> None:
    with pytest.raises(Unauthenticated, match=r"^User name or password is wrong\."):
        asked(database, vault, password, user=user)
    with database.read() as session:
        assert session.scalars(select(ApiToken)).all() == []


def test_a_code_is_needed_once_the_password_is_right_and_is_good_once(
    database: Database, vault: Vault, ada: int
) -> None:
    secret = with_second_factor(database, vault, ada)
    with pytest.raises(Unauthenticated):
        asked(database, vault, "wrong")  # not that there is a code to be guessed as well
    with pytest.raises(Invalid) as missing:
        asked(database, vault)
    assert [each.field for each in missing.value.problems] == ["code"]
    code = totp.code(secret, totp.step_of(T0))
    row, _ = asked(database, vault, code=code)
    assert row.user_id == ada
    with pytest.raises(Invalid, match="wrong or was used before"):
        asked(database, vault, code=code)


def test_codes_are_not_guessed_from_wherever(database: Database, vault: Vault, ada: int) -> None:
    with_second_factor(database, vault, ada)
    for number in range(throttle.TRIES_OF_CODE):
        with pytest.raises(Invalid):
            asked(database, vault, code="000000", address=f"10.0.1.{number}", now=T0 + dt.timedelta(seconds=number))
    with pytest.raises(TooMany):
        asked(database, vault, code="000000", address="10.0.2.1", now=T0 + dt.timedelta(seconds=10))


@pytest.mark.usefixtures("ada")
def test_tries_count_together_with_those_of_the_page(database: Database, vault: Vault) -> None:
    for number in range(throttle.TRIES):
        throttle.count(database, throttle.of_sign_in("eve", "10.0.0.1"), T0 - dt.timedelta(seconds=number))
    with pytest.raises(TooMany):
        asked(database, vault)


def test_what_is_to_be_done_at_a_browser_first_is_done_there(database: Database, vault: Vault, ada: int) -> None:
    with pytest.raises(Conflict, match="second factor"):
        asked(database, vault, totp_roles=("operator",))
    with database.write() as session:
        once = service.reset_password(session, "ada", actor="t", now=T0)
    with pytest.raises(Conflict, match="one-time password"):
        asked(database, vault, once)
    with database.write() as session:
        session.get_one(User, ada).disabled = True
    with pytest.raises(Unauthenticated):
        asked(database, vault, once)
