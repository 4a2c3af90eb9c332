"""A token for who signs in with name and password where no browser is: the command line, a script of somebody's.

It is as hard to get as a session: the same tries are counted, the same second factor is asked for, and an account that
has something to do at a browser first (a one-time password, a second factor that its role needs) does that first.
The token always ends, and reaches no further than its user.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from pxeapp.accounts import second_factor, service, throttle
from pxeapp.accounts.models import ApiToken, User
from pxeapp.accounts.permissions import lesser
from pxeapp.accounts.tokens import create_token
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid, Unauthenticated
from pxeapp.vault import Vault

MOST_DAYS = 90
DAYS = 7


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who somebody says they are; `code` is of their authenticator, or a recovery code."""

    name: str
    password: str = field(repr=False)
    code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The token: its name, for how long, and how far it reaches; no role means the user's own."""

    name: str
    days: int = DAYS
    role: str | None = None
    read_only: bool = False


def token(
    database: Database, vault: Vault, said: Credentials, wanted: Wanted, *,
    address: str, totp_roles: Collection[str], now: dt.datetime,
) -> tuple[ApiToken, str]:  # fmt: skip
    """The row and the secret; raises Unauthenticated, Invalid for the code, Conflict, or TooMany."""
    limits = throttle.of_sign_in(said.name, address)
    throttle.count(database, limits, now)
    with throttle.one_password_at_a_time, database.read() as session:
        user = service.sign_in(session, said.name, said.password, now=now)
        _refuse_unfinished(user, totp_roles)
    throttle.forgive(database, limits, now)
    codes = throttle.of_code(user.id) if user.totp_secret else {}
    if codes:
        if not said.code:
            raise _no_code()
        throttle.count(database, codes, now)
    with database.write() as session:
        found = _made(session, vault, user, said, wanted, now)
    if codes:
        throttle.forgive(database, codes, now)
    return found


def _made(
    session: Session, vault: Vault, known: User, said: Credentials, wanted: Wanted, now: dt.datetime
) -> tuple[ApiToken, str]:
    user = session.get(User, known.id, with_for_update=True)
    # Between the look and now an admin may have locked the account, or reset its password.
    if user is None or user.disabled or user.password_hash != known.password_hash:
        raise Unauthenticated("User name or password is wrong.")
    how = "password"
    if user.totp_secret:
        if not said.code:
            raise _no_code()
        how += f" and {second_factor.check(session, vault, user, said.code, now=now)}"
    service.signed_in(session, user, now=now, method=f"{how}, for a token")
    return create_token(
        session, name=wanted.name, role=lesser(wanted.role or user.role, user.role), user=user,
        read_only=wanted.read_only, expires_at=now + dt.timedelta(days=wanted.days),
        actor=f"user:{user.name}", now=now,
    )  # fmt: skip


def _refuse_unfinished(user: User, totp_roles: Collection[str]) -> None:
    if user.must_change_password:
        raise Conflict(
            "This is a one-time password.", hint="Sign in at the page /login and choose one of your own first."
        )
    if user.role in totp_roles and not user.totp_secret:
        raise Conflict("Your role needs a second factor.", hint="Sign in at the page /login and set it up first.")


def _no_code() -> Invalid:
    problem = FieldProblem("code", "is missing.", "Enter the code that your authenticator shows.")
    return Invalid("Your account has a second factor.", problems=[problem])
