"""What somebody does with their own account; API and pages call the same functions."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.accounts import passwords, second_factor, service, sessions, throttle, totp
from pxeapp.accounts.actor import Actor
from pxeapp.accounts.models import User, UserSession
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.vault import Vault


def user(session: Session, actor: Actor) -> User:
    """The account of whoever asks; raises Conflict for a token that belongs to nobody."""
    if actor.user_id is None:
        raise Conflict(f"{actor.label} belongs to no account here.")
    row = session.get(User, actor.user_id)
    if row is None:
        raise NotFound("This account is gone.")
    return row


def change_password(database: Database, actor: Actor, *, old: str, new: str, now: dt.datetime) -> str:
    """Change it, and go on in a session of a new secret, the only one that is left."""
    limits = throttle.of_password(actor.user_id or 0)
    throttle.count(database, limits, now)
    with database.write() as session:
        before = session.get(UserSession, actor.session_id or 0)
        method, address, browser = (before.method, before.address, before.browser) if before else ("password", "", "")
        row = service.change_own_password(session, actor.user_id or 0, old=old, new=new, now=now)
        secret = sessions.begin(session, row, method=method, address=address, browser=browser, now=now)
    throttle.forgive(database, limits, now)
    return secret


def begin_totp(database: Database, vault: Vault, actor: Actor) -> tuple[str, str]:
    """The secret for an authenticator, and the same as an address to be read from a picture."""
    with database.write() as session:
        row = user(session, actor)
        secret = second_factor.begin(session, vault, row)
        return secret, totp.uri(secret, row.name)


def confirm_totp(database: Database, vault: Vault, actor: Actor, code: str, *, now: dt.datetime) -> list[str]:
    """Turn it on; the recovery codes."""
    throttle.count(database, throttle.of_code(actor.user_id or 0), now)
    with database.write() as session:
        codes = second_factor.confirm(session, vault, user(session, actor), code, now=now)
    throttle.forgive(database, throttle.of_code(actor.user_id or 0), now)
    return codes


def renew_recovery_codes(database: Database, actor: Actor, password: str, *, now: dt.datetime) -> list[str]:
    """New ones, for who knows the password."""
    _ask_password(database, actor, password, now)
    with database.write() as session:
        return second_factor.renew_recovery_codes(session, user(session, actor), now=now)


def remove_totp(database: Database, settings: Settings, actor: Actor, password: str, *, now: dt.datetime) -> None:
    """Take it away, for who knows the password, and unless the role needs one."""
    if actor.role in settings.totp_roles:
        raise Conflict(f"The role {actor.role} needs a second factor here.", hint="Ask an admin to reset it.")
    _ask_password(database, actor, password, now)
    with database.write() as session:
        second_factor.remove(session, user(session, actor), actor=actor.label, now=now)


def shown_session(row: UserSession, present: int | None) -> dict[str, Any]:
    """A session as its owner sees it."""
    return {
        "id": row.id,
        "present": row.id == present,
        "method": row.method,
        "address": row.address,
        "browser": row.browser,
        "created_at": row.created_at.isoformat(),
        "seen_at": row.seen_at.isoformat(),
    }


def _ask_password(database: Database, actor: Actor, password: str, now: dt.datetime) -> None:
    limits = throttle.of_password(actor.user_id or 0)
    throttle.count(database, limits, now)
    with database.read() as session:
        row = user(session, actor)
        if not passwords.fits(row.password_hash, password):
            problem = FieldProblem("password", "is not your password.", "Enter the one that you signed in with.")
            raise Invalid("Nothing was changed.", problems=[problem])
    throttle.forgive(database, limits, now)
