"""Codes as RFC 6238 has them, taken once; recovery codes; and guessing that is counted for all processes."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import func, select

from pxeapp.accounts import second_factor, service, throttle, totp
from pxeapp.accounts.models import SignInTry, User
from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, TooMany
from pxeapp.vault import Vault

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
STEP = dt.timedelta(seconds=totp.STEP_S)
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.fixture
def vault() -> Vault:
    return Vault(os.urandom(32))


@pytest.fixture
def ada(database: Database) -> int:
    with database.write() as session:
        row = service.create_user(
            session, name="ada", role="admin", password="correct horse battery", actor="test", now=T0
        )
        return row.id


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
     (2000000000, "69279037"), (20000000000, "65353130")],
)  # fmt: skip
def test_the_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert totp.code(RFC_SECRET, seconds // 30) == code[-6:]


def enable(database: Database, vault: Vault, number: int) -> tuple[str, list[str]]:
    with database.write() as session:
        secret = second_factor.begin(session, vault, session.get_one(User, number))
    with database.write() as session:
        user = session.get_one(User, number)
        return secret, second_factor.confirm(session, vault, user, totp.code(secret, totp.step_of(T0)), now=T0)


def enter(database: Database, vault: Vault, number: int, said: str, now: dt.datetime) -> str:
    with database.write() as session:
        return second_factor.check(session, vault, session.get_one(User, number), said, now=now)


def test_a_code_is_taken_once_and_a_clock_may_be_half_a_minute_off(database: Database, vault: Vault, ada: int) -> None:
    secret, _ = enable(database, vault, ada)
    first = totp.code(secret, totp.step_of(T0))
    with pytest.raises(Invalid):
        enter(database, vault, ada, first, T0)  # it turned the factor on
    later = T0 + 3 * STEP
    early = totp.code(secret, totp.step_of(later) - 1)
    assert enter(database, vault, ada, f"{early[:3]} {early[3:]}", later) == "code"
    with pytest.raises(Invalid):
        enter(database, vault, ada, early, later)
    assert enter(database, vault, ada, totp.code(secret, totp.step_of(later) + 1), later) == "code"
    with pytest.raises(Invalid):
        enter(database, vault, ada, totp.code(secret, totp.step_of(later)), later)  # older than the last one
    with pytest.raises(Invalid):
        enter(database, vault, ada, totp.code(secret, totp.step_of(later) + 5), later)


def test_a_recovery_code_opens_once(database: Database, vault: Vault, ada: int) -> None:
    _, codes = enable(database, vault, ada)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert enter(database, vault, ada, codes[3].upper().replace("-", " "), T0) == "recovery code"
    with pytest.raises(Invalid):
        enter(database, vault, ada, codes[3], T0)
    with database.write() as session:
        fresh = second_factor.renew_recovery_codes(session, session.get_one(User, ada), now=T0)
    with pytest.raises(Invalid):
        enter(database, vault, ada, codes[4], T0)
    assert enter(database, vault, ada, fresh[0], T0)


def test_nothing_that_opens_anything_is_kept_in_the_clear(database: Database, vault: Vault, ada: int) -> None:
    secret, codes = enable(database, vault, ada)
    with database.read() as session:
        user = session.get_one(User, ada)
        kept = json.dumps(
            [user.totp_secret, user.recovery_hashes, *(row.details for row in session.scalars(select(AuditRow)))]
        )
    assert secret not in kept
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


def test_it_is_on_only_after_a_first_code(database: Database, vault: Vault, ada: int) -> None:
    with database.write() as session:
        secret = second_factor.begin(session, vault, session.get_one(User, ada))
        assert second_factor.begin(session, vault, session.get_one(User, ada)) == secret
    with database.write() as session, pytest.raises(Invalid):
        second_factor.confirm(session, vault, session.get_one(User, ada), "000000", now=T0)
    with database.read() as session:
        assert not session.get_one(User, ada).totp_secret
    enable(database, vault, ada)
    with database.write() as session, pytest.raises(Conflict):
        second_factor.begin(session, vault, session.get_one(User, ada))


def test_the_picture_says_what_an_authenticator_reads() -> None:
    address = urlsplit(totp.uri(RFC_SECRET, "ada@x y"))
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/pxeapp:ada%40x%20y")
    assert parse_qs(address.query)["secret"] == [RFC_SECRET]
    assert second_factor.picture(RFC_SECRET, "ada").startswith("data:image/svg+xml")


# -- guessing


def test_tries_are_counted_for_every_process(any_database: Database) -> None:
    limits = throttle.of_sign_in("ada", "10.0.0.1")
    for _ in range(throttle.TRIES):
        throttle.count(any_database, limits, T0)
    elsewhere = Database(any_database.url)
    try:
        with pytest.raises(TooMany) as caught:
            throttle.count(elsewhere, limits, T0 + dt.timedelta(seconds=1))
        assert 0 < caught.value.after_s <= throttle.WINDOW.total_seconds()
        throttle.count(elsewhere, throttle.of_sign_in("ada", "10.0.0.2"), T0)
        throttle.count(elsewhere, limits, T0 + throttle.WINDOW)
    finally:
        elsewhere.dispose()
    with any_database.read() as session:
        assert session.scalar(select(func.count()).select_from(SignInTry)) == 2, "what is over is swept"


def test_what_was_right_is_forgiven(database: Database) -> None:
    for number in range(throttle.TRIES * 3):
        moment = T0 + dt.timedelta(milliseconds=number)
        throttle.count(database, throttle.of_sign_in("ada", "10.0.0.1"), moment)
        throttle.forgive(database, throttle.of_sign_in("ada", "10.0.0.1"), moment)


def test_strangers_do_not_lock_out_a_browser_that_was_here_before(database: Database) -> None:
    for number in range(throttle.TRIES_AT_NAME):
        throttle.count(database, throttle.of_sign_in("ada", f"10.0.{number}.1"), T0)
    with pytest.raises(TooMany):
        throttle.count(database, throttle.of_sign_in("ada", "10.9.9.9"), T0)
    throttle.count(database, throttle.of_sign_in("eve", "10.9.9.9"), T0)
    for _ in range(throttle.TRIES):
        throttle.count(database, throttle.of_sign_in("ada", "10.0.0.1", "its-cookie"), T0)
    with pytest.raises(TooMany):
        throttle.count(database, throttle.of_sign_in("ada", "10.0.0.1", "its-cookie"), T0)


def test_what_was_typed_into_the_names_field_is_not_kept() -> None:
    assert not any("my password" in key for key in throttle.of_sign_in("my password", "10.0.0.1"))


def test_an_ipv6_network_is_one_address() -> None:
    assert throttle.of_sign_in("a", "2001:db8::1") == throttle.of_sign_in("a", "2001:db8::ffff:2")
    assert throttle.of_sign_in("a", "::ffff:10.0.0.1") == throttle.of_sign_in("a", "10.0.0.1")
