"""Sessions: over when they should be, another secret whenever rights change, and nobody else's business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from sqlalchemy import select

from pxeapp.accounts import own, passwords, service, sessions
from pxeapp.accounts.models import User, UserSession
from pxeapp.accounts.sessions import Rules, Visit
from pxeapp.db import Database
from pxeapp.errors import Invalid, NotFound, Unauthenticated

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
RULES = Rules(idle=HOUR, whole=8 * HOUR)
PASSWORD = "correct horse battery"


@pytest.fixture
def ada(database: Database) -> str:
    with database.write() as session:
        service.create_user(session, name="ada", role="operator", password=PASSWORD, actor="test", now=T0)
    return "ada"


def begin(database: Database, name: str = "ada", **more: bool) -> str:
    with database.write() as session:
        user = service.get_user(session, name)
        return sessions.begin(
            session, user, method="password", address="10.0.0.1", browser="a\nbrowser", now=T0, **more
        )


def visit(database: Database, secret: str, now: dt.datetime = T0, rules: Rules = RULES) -> Visit:
    with database.read() as session:
        return sessions.whose(session, secret, rules, now=now)


def over(database: Database, secret: str, now: dt.datetime = T0) -> None:
    with pytest.raises(Unauthenticated, match="ended"):
        visit(database, secret, now)


def test_only_a_hash_of_the_secret_is_kept(database: Database, ada: str) -> None:
    secret = begin(database)
    with database.read() as session:
        row = session.scalars(select(UserSession)).one()
        assert secret not in (row.secret_hash, row.browser)
        assert row.browser == "abrowser"
    assert visit(database, secret).actor.label == "user:ada"
    over(database, secret[:-1])
    over(database, "")


def test_it_is_over_when_idle_and_when_old_however_busy(database: Database, ada: str) -> None:
    secret = begin(database)
    assert visit(database, secret, T0 + HOUR - MINUTE)
    over(database, secret, T0 + HOUR)
    for step in range(1, 16):
        with database.write() as session:
            sessions.note_use(session, visit(database, secret, T0 + step * HOUR / 2).row.id, now=T0 + step * HOUR / 2)
    over(database, secret, T0 + 8 * HOUR)


@pytest.mark.parametrize(
    "end",
    [
        lambda session: service.change_user(session, "ada", password=PASSWORD + "2", actor="t", now=T0),
        lambda session: service.change_user(session, "ada", disabled=True, actor="t", now=T0),
        lambda session: service.delete_user(session, "ada", actor="t", now=T0),
        lambda session: service.reset_password(session, "ada", actor="t", now=T0),
        lambda session: sessions.end_all(session, service.get_user(session, "ada"), actor="t", now=T0),
    ],
    ids=["a new password", "disabled", "removed", "reset", "signed out everywhere"],
)
def test_it_ends_at_once(database: Database, ada: str, end: Callable[..., object]) -> None:
    secret = begin(database)
    with database.write() as session:
        end(session)
    over(database, secret)


def test_another_role_holds_at_once_and_makes_another_secret(database: Database, ada: str) -> None:
    secret = begin(database)
    with database.write() as session:
        service.change_user(session, "ada", role="admin", actor="t", now=T0)
    found = visit(database, secret)
    assert (found.actor.role, found.outdated) == ("admin", True)
    with database.write() as session:
        fresh = sessions.rotate(session, found.row.id, now=T0)
    assert not visit(database, fresh).outdated
    assert not visit(database, secret, T0 + sessions.GRACE).outdated, "a request that was under way still gets in"
    over(database, secret, T0 + sessions.GRACE + MINUTE)


def test_the_first_half_of_a_sign_in_is_short_and_opens_nothing(database: Database, ada: str) -> None:
    secret = begin(database, second_factor_due=True)
    found = visit(database, secret)
    assert found.actor.stage == sessions.SECOND_FACTOR
    over(database, secret, T0 + sessions.HALF_OPEN + MINUTE)
    with database.write() as session:
        whole = sessions.complete(session, found.row.id, now=T0)
    assert visit(database, whole).actor.stage == ""
    over(database, secret)


def test_what_is_still_to_be_done_comes_first(database: Database, ada: str) -> None:
    secret = begin(database)
    strict = Rules(idle=HOUR, whole=HOUR, totp_roles=("operator",))
    assert visit(database, secret, rules=strict).actor.stage == sessions.ENROL
    with database.write() as session:
        service.get_user(session, "ada").must_change_password = True
    assert visit(database, secret, rules=strict).actor.stage == sessions.PASSWORD


def test_nobody_ends_anothers_session(database: Database, ada: str) -> None:
    with database.write() as session:
        service.create_user(session, name="eve", role="viewer", password=PASSWORD, actor="test", now=T0)
    row = visit(database, begin(database)).row
    with database.write() as session:
        eve = service.get_user(session, "eve")
        with pytest.raises(NotFound):
            sessions.end(session, eve.id, row.id, actor="user:eve", now=T0)
        assert sessions.listing(session, eve.id, RULES, now=T0) == []


def test_a_new_password_needs_the_old_one_and_leaves_one_session(database: Database, ada: str) -> None:
    first, other = begin(database), begin(database)
    who = visit(database, first).actor
    with pytest.raises(Invalid) as caught:
        own.change_password(database, who, old="wrong", new="another long one", now=T0)
    assert caught.value.problems[0].field == "old"
    with pytest.raises(Invalid) as caught:
        own.change_password(database, who, old=PASSWORD, new=PASSWORD, now=T0)
    assert caught.value.problems[0].field == "new"
    fresh = own.change_password(database, who, old=PASSWORD, new="another long one", now=T0)
    assert visit(database, fresh).actor.label == "user:ada"
    over(database, first)
    over(database, other)


def test_a_one_time_password_is_good_for_a_day(database: Database, ada: str) -> None:
    with database.write() as session:
        password = service.reset_password(session, "ada", actor="t", now=T0)
    assert not passwords.problems(password, name="ada")
    with database.read() as session:
        assert service.sign_in(session, "ada", password, now=T0 + 23 * HOUR).must_change_password
        with pytest.raises(Unauthenticated):
            service.sign_in(session, "ada", password, now=T0 + 24 * HOUR)
        with pytest.raises(Unauthenticated):
            service.sign_in(session, "ada", PASSWORD, now=T0)


@pytest.mark.parametrize(
    "password", ["short", "x" * 1001, "aaaaaaaaaaaa", "password123", "PassWord123", "adalovelaceadalovelace1"[:22]]
)
def test_a_weak_password_is_refused_with_a_sentence(password: str) -> None:
    name = "adalovelace"
    found = passwords.problems(password, name=name)
    assert len(found) == 1
    assert found[0].fix


def test_users_of_a_provider_have_no_password_here(database: Database) -> None:
    with database.write() as session:
        session.add(User(name="o", role="viewer", source="oidc", external_id="i|s", created_at=T0))
    with database.read() as session, pytest.raises(Unauthenticated):
        service.sign_in(session, "o", "")
