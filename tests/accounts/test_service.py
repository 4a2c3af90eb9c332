"""Users and tokens: nothing is kept that opens a door, and whoever is removed is refused at once."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import importlib.util
import json
import threading
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import select

from pxeapp.accounts import service
from pxeapp.accounts.models import ApiToken, User
from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, NotFound, Unauthenticated

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
LATER = T0 + dt.timedelta(hours=1)
PASSWORD = "correct horse battery"


def add_user(database: Database, name: str = "ada", role: str = "operator", password: str = PASSWORD) -> None:
    with database.write() as session:
        service.create_user(session, name=name, role=role, password=password, actor="user:admin", now=T0)


def change(database: Database, name: str, **said: Any) -> None:
    with database.write() as session:
        service.change_user(session, name, actor="user:admin", now=LATER, **said)


def remove(database: Database, name: str) -> None:
    with database.write() as session:
        service.delete_user(session, name, actor="user:admin", now=LATER)


def add_token(database: Database, role: str = "operator", owner: str | None = None, **said: Any) -> tuple[int, str]:
    with database.write() as session:
        user = service.get_user(session, owner) if owner else None
        row, secret = service.create_token(session, name="ci", role=role, actor="user:ada", now=T0, user=user, **said)
        return row.id, secret


def who(database: Database, secret: str, now: dt.datetime = T0) -> tuple[str, str]:
    with database.read() as session:
        actor, _ = service.by_token(session, secret, now=now)
        return actor.label, actor.role


def refused(database: Database, secret: str, now: dt.datetime = T0) -> None:
    with database.read() as session, pytest.raises(Unauthenticated, match="not valid"):
        service.by_token(session, secret, now=now)


def sign_in(database: Database, name: str, password: str) -> tuple[int, int]:
    with database.read() as session:
        user = service.sign_in(session, name, password)
        return user.id, user.session_epoch


# -- passwords


def test_a_password_is_kept_as_an_argon2_hash_only(database: Database) -> None:
    add_user(database)
    add_user(database, "bob")
    with database.read() as session:
        first, second = session.scalars(select(User.password_hash).order_by(User.id))
    assert first.startswith("$argon2id$")
    assert first != second
    assert PASSWORD not in first


def test_a_guess_costs_what_owasp_asks_for_whether_or_not_there_is_such_a_user() -> None:
    spec = importlib.util.find_spec("pxeapp.accounts.passwords")
    assert spec is not None
    assert spec.loader is not None
    product = importlib.util.module_from_spec(spec)  # as it is without the tests' own cost, see conftest.py
    spec.loader.exec_module(product)
    cost = extract_parameters(product.hashed(PASSWORD))
    assert cost.memory_cost >= 19 * 1024
    assert cost.time_cost >= 2
    assert extract_parameters(product._NOBODY) == cost
    with pytest.raises(VerifyMismatchError):  # the work is done: it is not refused as no hash at all
        PasswordHasher().verify(product._NOBODY, PASSWORD)


def test_whatever_is_wrong_with_a_sign_in_the_answer_is_the_same(any_database: Database) -> None:
    add_user(any_database)
    add_user(any_database, "eve")
    change(any_database, "eve", disabled=True)
    assert sign_in(any_database, "ada", PASSWORD)
    answers = set()
    for name, password in (
        ("ada", "wrong"), ("ada", ""), ("nobody", PASSWORD), ("eve", PASSWORD), ("a\0da", PASSWORD),
        ("ADA", PASSWORD), ("", ""),
    ):  # fmt: skip
        with pytest.raises(Unauthenticated) as caught:
            sign_in(any_database, name, password)
        answers.add(str(caught.value))
    assert len(answers) == 1


# Sessions are in test_sessions.py.


# -- users


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": ""}, "name"), ({"name": "Ada"}, "name"), ({"name": "a b"}, "name"), ({"name": "a\n"}, "name"),
        ({"name": "x" * 64}, "name"), ({"role": "root"}, "role"), ({"role": ""}, "role"), ({"role": "public"}, "role"),
        ({"password": "short"}, "password"), ({"password": ""}, "password"),
    ],
)  # fmt: skip
def test_a_user_that_is_not_possible_is_refused(database: Database, said: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        add_user(database, **{"name": "ada", "role": "viewer", "password": PASSWORD, **said})
    [problem] = caught.value.problems
    assert problem.field == field
    assert problem.fix


@pytest.mark.parametrize("said", [{"role": ""}, {"role": "root"}, {"password": "short"}])
def test_a_change_is_checked_like_a_new_user(database: Database, said: dict[str, str]) -> None:
    add_user(database)
    with pytest.raises(Invalid):
        change(database, "ada", **said)
    assert sign_in(database, "ada", PASSWORD)


def test_a_name_is_taken_once(any_database: Database) -> None:
    add_user(any_database)
    with pytest.raises(Conflict):
        add_user(any_database)
    with pytest.raises(NotFound):
        remove(any_database, "a\0b")


@pytest.mark.parametrize("act", ["remove", "disable", "demote"])
def test_the_last_administrator_stays(database: Database, act: str) -> None:
    do = {
        "remove": lambda: remove(database, "root"),
        "disable": lambda: change(database, "root", disabled=True),
        "demote": lambda: change(database, "root", role="operator"),
    }[act]
    add_user(database, "root", "admin")
    add_user(database, "second", "admin")
    change(database, "second", disabled=True)
    with pytest.raises(Conflict, match="last administrator") as caught:
        do()
    assert caught.value.hint
    change(database, "second", disabled=False)
    do()
    with pytest.raises(Conflict, match="last administrator"):
        remove(database, "second")


def test_two_administrators_cannot_remove_each_other_at_once(any_database: Database) -> None:
    add_user(any_database, "one", "admin")
    add_user(any_database, "two", "admin")
    start = threading.Barrier(2, timeout=30)

    def act(name: str) -> None:
        start.wait()
        with contextlib.suppress(Conflict):
            remove(any_database, name)

    threads = [threading.Thread(target=act, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with any_database.read() as session:
        assert len(session.scalars(select(User)).all()) == 1


# -- tokens


def test_only_a_tokens_hash_is_kept(any_database: Database) -> None:
    _, secret = add_token(any_database)
    assert secret.startswith("pxe_")
    assert len(secret) > 40
    with any_database.read() as session:
        row = session.scalars(select(ApiToken)).one()
        assert row.token_hash == hashlib.sha256(secret.encode()).hexdigest()
        assert secret not in json.dumps([audit.details for audit in session.scalars(select(AuditRow))])
    assert who(any_database, secret) == ("token:ci", "operator")


@pytest.mark.parametrize("secret", ["", "pxe_", "x" * 10_000, "\0", "pxe_é"])
def test_a_token_that_was_never_made_is_refused(any_database: Database, secret: str) -> None:
    add_token(any_database)
    refused(any_database, secret)


def test_a_token_ends_when_it_expires_or_is_revoked(database: Database) -> None:
    number, secret = add_token(database, expires_at=LATER)
    assert who(database, secret, LATER - dt.timedelta(seconds=1))
    refused(database, secret, LATER)
    for _ in range(2):  # idempotent
        with database.write() as session:
            service.revoke_token(session, number, actor="user:ada", now=T0)
    refused(database, secret)
    with database.write() as session, pytest.raises(NotFound):
        service.revoke_token(session, 999, actor="user:ada", now=T0)


@pytest.mark.parametrize("token", ["viewer", "operator", "admin"])
@pytest.mark.parametrize("user", ["viewer", "operator", "admin"])
def test_a_token_never_exceeds_its_user(database: Database, token: str, user: str) -> None:
    rank = ["viewer", "operator", "admin"].index
    add_user(database, role=user)
    _, secret = add_token(database, role=token, owner="ada")
    assert who(database, secret)[1] == min(token, user, key=rank)
    if user != "admin":
        change(database, "ada", role="admin")
        assert who(database, secret)[1] == token


def test_a_token_dies_with_its_user(any_database: Database) -> None:
    add_user(any_database)
    _, secret = add_token(any_database, owner="ada")
    change(any_database, "ada", disabled=True)
    refused(any_database, secret)
    change(any_database, "ada", disabled=False)
    assert who(any_database, secret)
    remove(any_database, "ada")
    refused(any_database, secret)
    add_user(any_database)  # a new one of the same name inherits nothing
    refused(any_database, secret)


@pytest.mark.parametrize(("name", "role"), [("ci", "root"), ("", "viewer"), ("x" * 64, "viewer"), ("a\nb", "viewer")])
def test_a_token_that_is_not_possible_is_refused(database: Database, name: str, role: str) -> None:
    with database.write() as session, pytest.raises(Invalid):
        service.create_token(session, name=name, role=role, actor="user:ada", now=T0)


def test_the_last_use_is_noted_once_a_minute(database: Database) -> None:
    _, secret = add_token(database)

    def stale(now: dt.datetime) -> bool:
        with database.read() as session:
            return service.by_token(session, secret, now=now)[1]

    assert stale(T0)
    with database.write() as session:
        service.note_token_use(session, secret, now=T0)
        service.note_token_use(session, "never made", now=T0)
    assert not stale(T0 + dt.timedelta(seconds=59))
    assert stale(T0 + dt.timedelta(seconds=60))


# -- the first start


def test_the_first_start_makes_an_administrator_whose_password_is_shown_once(database: Database) -> None:
    with database.write() as session:
        password = service.bootstrap(session, password=None, now=T0)
    assert password is not None
    assert len(password) >= 16
    assert sign_in(database, "admin", password)
    with database.write() as session:
        assert service.bootstrap(session, password=None, now=LATER) is None
        assert session.scalars(select(User.role)).all() == ["admin"]
        assert password not in json.dumps([row.details for row in session.scalars(select(AuditRow))])


def test_a_given_first_password_is_used_and_not_shown(database: Database) -> None:
    with database.write() as session:
        assert service.bootstrap(session, password=PASSWORD, now=T0) is None
    assert sign_in(database, "admin", PASSWORD)
    with database.write() as session:
        session.query(User).delete()
        with pytest.raises(Invalid):
            service.bootstrap(session, password="short", now=T0)


def test_every_change_of_an_account_is_audited_without_its_secret(database: Database) -> None:
    add_user(database, "root", "admin")
    add_user(database)
    change(database, "ada", password=PASSWORD + "2", role="viewer")
    number, secret = add_token(database, owner="ada")
    with database.write() as session:
        service.revoke_token(session, number, actor="user:ada", now=T0)
    remove(database, "ada")
    with database.read() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    assert [row.action for row in rows] == [
        "user.create", "user.create", "user.change", "token.create", "token.revoke", "user.delete",
    ]  # fmt: skip
    assert rows[2].details == {"changed": ["role", "password"]}
    assert (rows[2].before, rows[2].after) == ({"role": "operator"}, {"role": "viewer"})
    text = json.dumps([row.details for row in rows])
    assert PASSWORD not in text
    assert secret not in text
