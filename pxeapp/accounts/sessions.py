"""Sessions of browsers: kept here, found by a secret in a cookie, over when idle, old, signed out or overtaken."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts.actor import SESSION, Actor
from pxeapp.accounts.models import User, UserSession
from pxeapp.errors import NotFound, Unauthenticated

SEEN_STEP = dt.timedelta(minutes=1)  # a busy session writes its row once a minute, not at every request
# After a rotation, for requests that were sent with the secret of before.
GRACE = dt.timedelta(seconds=30)
HALF_OPEN = dt.timedelta(minutes=10)  # between the password and the code
SECOND_FACTOR, PASSWORD, ENROL = "second factor", "password", "enrol"


@dataclass(frozen=True, slots=True)
class Rules:
    """How long a session lives, and which roles need a second factor."""

    idle: dt.timedelta
    whole: dt.timedelta
    totp_roles: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """A request's session: who it is, and what is to be written about it."""

    actor: Actor
    row: UserSession
    stale: bool  # its last use should be noted
    outdated: bool  # the role is another one than when its secret was made


def begin(
    session: Session, user: User, *, method: str, address: str, browser: str, now: dt.datetime,
    second_factor_due: bool = False,
) -> str:  # fmt: skip
    """Begin a session; returns the secret for its cookie, of which only the hash is kept."""
    secret = secrets.token_urlsafe(32)
    session.add(
        UserSession(
            user_id=user.id, secret_hash=_digest(secret), epoch=user.session_epoch, role=user.role, method=method,
            second_factor_due=second_factor_due, created_at=now, seen_at=now, address=address[:45],
            browser="".join(filter(str.isprintable, browser))[:200],
        )
    )  # fmt: skip
    return secret


def whose(session: Session, secret: str, rules: Rules, *, now: dt.datetime) -> Visit:
    """Who a cookie's secret stands for now; raises Unauthenticated when the session or its user is gone or over."""
    digest = _digest(secret[:200])
    ended = Unauthenticated("This session has ended.", hint="Sign in again.")
    row = session.scalar(
        select(UserSession).where(or_(UserSession.secret_hash == digest, UserSession.previous_hash == digest))
    )
    if row is None:
        raise ended
    if row.secret_hash != digest and (row.previous_until is None or row.previous_until < now):
        raise ended
    user = session.get(User, row.user_id)
    if user is None or user.disabled or user.session_epoch != row.epoch or not _alive(row, rules, now):
        raise ended
    actor = Actor(
        f"user:{user.name}", user.role, user.id, None if user.projects is None else frozenset(user.projects),
        by=SESSION, session_id=row.id, stage=stage(user, row, rules),
    )  # fmt: skip
    return Visit(actor, row, now - row.seen_at >= SEEN_STEP, user.role != row.role and row.secret_hash == digest)


def stage(user: User, row: UserSession, rules: Rules) -> str:
    """What is still to be done before anything else; empty: nothing."""
    if row.second_factor_due:
        return SECOND_FACTOR
    if user.must_change_password:
        return PASSWORD
    # Whoever came from a provider has shown a second factor there, if one was asked for.
    if row.method == "password" and user.role in rules.totp_roles and not user.totp_secret:
        return ENROL
    return ""


def note_use(session: Session, number: int, *, now: dt.datetime) -> None:
    """Keep when a session was last used."""
    session.execute(update(UserSession).where(UserSession.id == number).values(seen_at=now))


def rotate(session: Session, number: int, *, now: dt.datetime, grace: bool = True) -> str:
    """A new secret for a session whose rights have changed; the old one opens nothing after a moment."""
    row = session.get(UserSession, number, with_for_update=True)
    if row is None:
        raise Unauthenticated("This session has ended.", hint="Sign in again.")
    user = session.get(User, row.user_id)
    secret = secrets.token_urlsafe(32)
    row.previous_hash, row.previous_until = (row.secret_hash, now + GRACE) if grace else (None, None)
    row.secret_hash = _digest(secret)
    if user is not None:
        row.role, row.epoch = user.role, user.session_epoch
    return secret


def complete(session: Session, number: int, *, now: dt.datetime) -> str:
    """The second factor was shown: the session is whole, and gets a new secret."""
    secret = rotate(session, number, now=now, grace=False)
    row = session.get_one(UserSession, number)
    row.second_factor_due, row.seen_at = False, now
    return secret


def listing(session: Session, user_id: int, rules: Rules, *, now: dt.datetime) -> Sequence[UserSession]:
    """The sessions of a user that are alive, the last used first."""
    user = session.get_one(User, user_id)
    found = select(UserSession).where(UserSession.user_id == user_id, UserSession.epoch == user.session_epoch)
    rows = session.scalars(found.order_by(UserSession.seen_at.desc(), UserSession.id.desc()))
    return [row for row in rows if _alive(row, rules, now)]


def end(session: Session, user_id: int, number: int, *, actor: str, now: dt.datetime) -> None:
    """End one of somebody's own sessions; raises NotFound for another's."""
    row = session.get(UserSession, number)
    if row is None or row.user_id != user_id:
        raise NotFound(f"You have no session {number}.")
    session.delete(row)
    audit.record(session, at=now, actor=actor, action="session.end", subject=actor.partition(":")[2], number=number)


def end_all(session: Session, user: User, *, actor: str, now: dt.datetime) -> None:
    """End every session of a user, wherever its cookie is by now."""
    user.session_epoch += 1
    session.execute(delete(UserSession).where(UserSession.user_id == user.id))
    audit.record(session, at=now, actor=actor, action="session.end_all", subject=user.name)


def sweep(session: Session, rules: Rules, *, now: dt.datetime) -> None:
    """Forget what is over; done at each sign-in."""
    over = or_(UserSession.seen_at < now - rules.idle, UserSession.created_at < now - rules.whole)
    session.execute(delete(UserSession).where(over))


def _alive(row: UserSession, rules: Rules, now: dt.datetime) -> bool:
    if row.second_factor_due and now - row.created_at > HALF_OPEN:
        return False
    return now - row.seen_at < rules.idle and now - row.created_at < rules.whole


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
