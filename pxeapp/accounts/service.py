"""Users, passwords and tokens. Who comes with a request is checked on every request, against the rows."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts.models import ApiToken, User
from pxeapp.accounts.permissions import ADMIN, ROLES, lesser
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound, Unauthenticated

# So that a token that leaked into a log or a repository is found by a search.
TOKEN_PREFIX = "pxe_"  # noqa: S105 - the part that is no secret
MIN_PASSWORD = 10
MAX_TOKEN_NAME = 63
LAST_USED_STEP = dt.timedelta(minutes=1)  # a busy token writes its row once a minute, not at every request
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
# OWASP's smaller setting: the default's 64 MiB for each try would let a guesser without an account fill the memory.
_hasher = PasswordHasher(time_cost=3, memory_cost=19 * 1024, parallelism=1)
# Verified against when the user does not exist, so that the answer takes as long as for one who does.
_NOBODY = _hasher.hash(secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is doing something, and with which role. `label` is what the audit log keeps."""

    label: str
    role: str
    user_id: int | None = None


def create_user(session: Session, *, name: str, role: str, password: str, actor: str, now: dt.datetime) -> User:
    """Add a user; raises Invalid with the field, or Conflict for a name that is taken."""
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(FieldProblem("name", f"{name!r} cannot be a user name.", "Use a-z, 0-9, dot, dash, @."))
    problems += _role_problems(role)
    problems += _password_problems(password)
    if problems:
        raise Invalid("The user cannot be added.", problems=problems)
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        raise Conflict(f"There already is a user {name}.")
    user = User(name=name, role=role, password_hash=_hasher.hash(password), created_at=now)
    session.add(user)
    session.flush()
    audit.record(session, at=now, actor=actor, action="user.create", subject=name, role=role)
    return user


def change_user(
    session: Session,
    name: str,
    *,
    actor: str,
    now: dt.datetime,
    role: str | None = None,
    password: str | None = None,
    disabled: bool | None = None,
) -> User:
    """Change a user; a new password or a disabled account ends every session of theirs at once."""
    user = get_user(session, name)
    problems = [
        *(_role_problems(role) if role is not None else []),
        *(_password_problems(password) if password is not None else []),
    ]
    if problems:
        raise Invalid("The user cannot be changed.", problems=problems)
    if (role not in (None, ADMIN) or disabled) and user.role == ADMIN and _is_last_admin(session, user):
        raise Conflict(f"{name} is the last administrator.", hint="Make another one first.")
    if role is not None:
        user.role = role
    if password is not None:
        user.password_hash = _hasher.hash(password)
    if disabled is not None:
        user.disabled = disabled
    if password is not None or disabled:
        user.session_epoch += 1
    changed = [
        field for field, value in (("role", role), ("password", password), ("disabled", disabled)) if value is not None
    ]
    audit.record(session, at=now, actor=actor, action="user.change", subject=name, changed=changed)
    return user


def delete_user(session: Session, name: str, *, actor: str, now: dt.datetime) -> None:
    """Remove a user with all their tokens."""
    user = get_user(session, name)
    if user.role == ADMIN and _is_last_admin(session, user):
        raise Conflict(f"{name} is the last administrator.", hint="Make another one first.")
    for token in session.scalars(select(ApiToken).where(ApiToken.user_id == user.id)):
        session.delete(token)
    session.flush()
    session.delete(user)
    audit.record(session, at=now, actor=actor, action="user.delete", subject=name)


def get_user(session: Session, name: str) -> User:
    """A user by name; raises NotFound."""
    user = _by_name(session, name)
    if user is None:
        raise NotFound(f"There is no user {name[:63]!r}.")
    return user


def _by_name(session: Session, name: str) -> User | None:
    """Nothing but a possible name is looked for: PostgreSQL refuses to compare with a NUL."""
    return session.scalar(select(User).where(User.name == name)) if _NAME.fullmatch(name) else None


def sign_in(session: Session, name: str, password: str) -> User:
    """The user behind name and password; raises the same Unauthenticated for whatever is wrong."""
    user = _by_name(session, name)
    try:
        _hasher.verify(user.password_hash if user and user.password_hash else _NOBODY, password)
    except (VerificationError, InvalidHashError):
        user = None
    if user is None or user.disabled:
        raise Unauthenticated("User name or password is wrong.")
    return user


def end_sessions(session: Session, user_id: int) -> None:
    """End every browser session of a user, wherever its cookie is by now."""
    user = session.get(User, user_id)
    if user is not None:
        user.session_epoch += 1


def by_session(session: Session, user_id: int, epoch: int) -> Actor:
    """Who a signed cookie belongs to now; raises Unauthenticated when that user is gone, disabled or signed out."""
    user = session.get(User, user_id)
    if user is None or user.disabled or user.session_epoch != epoch:
        raise Unauthenticated("This session has ended.", hint="Sign in again.")
    return Actor(f"user:{user.name}", user.role, user.id)


def create_token(
    session: Session,
    *,
    name: str,
    role: str,
    actor: str,
    now: dt.datetime,
    user: User | None = None,
    expires_at: dt.datetime | None = None,
) -> tuple[ApiToken, str]:
    """A new token's row and its secret, which is never to be had again."""
    problems = _role_problems(role)
    if not 0 < len(name) <= MAX_TOKEN_NAME or not name.isprintable():
        fix = f"Use one line of at most {MAX_TOKEN_NAME} characters."
        problems.append(FieldProblem("name", f"{name[:MAX_TOKEN_NAME]!r} cannot be a token's name.", fix))
    if problems:
        raise Invalid("The token cannot be made.", problems=problems)
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        name=name,
        token_hash=_digest(secret),
        role=role,
        user_id=user.id if user else None,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    audit.record(session, at=now, actor=actor, action="token.create", subject=name, role=role, token=row.id)
    return row, secret


def revoke_token(session: Session, token_id: int, *, actor: str, now: dt.datetime) -> None:
    """End a token; idempotent."""
    row = session.get(ApiToken, token_id)
    if row is None:
        raise NotFound(f"There is no token {token_id}.")
    row.revoked = True
    audit.record(session, at=now, actor=actor, action="token.revoke", subject=row.name, token=row.id)


def by_token(session: Session, secret: str, *, now: dt.datetime) -> tuple[Actor, bool]:
    """Who a bearer token stands for, and whether its last use should be noted; raises Unauthenticated."""
    digest = _digest(secret[:200])
    row = session.scalar(select(ApiToken).where(ApiToken.token_hash == digest))
    refused = Unauthenticated("This token is not valid.", hint="Make one with: pxeapp token create --role ROLE")
    if row is None or not hmac.compare_digest(row.token_hash, digest) or row.revoked:
        raise refused
    if row.expires_at is not None and row.expires_at <= now:
        raise refused
    role = row.role
    if row.user_id is not None:
        user = session.get(User, row.user_id)
        if user is None or user.disabled:
            raise refused
        role = lesser(role, user.role)
    stale = row.last_used_at is None or now - row.last_used_at >= LAST_USED_STEP
    return Actor(f"token:{row.name}", role, row.user_id), stale


def note_token_use(session: Session, secret: str, *, now: dt.datetime) -> None:
    """Keep when a token was last used."""
    row = session.scalar(select(ApiToken).where(ApiToken.token_hash == _digest(secret[:200])))
    if row is not None:
        row.last_used_at = now


def bootstrap(session: Session, *, password: str | None, now: dt.datetime) -> str | None:
    """At the first start: make `admin`. Returns the generated password to be shown once, or None.

    Does nothing when any user exists.
    """
    if session.scalar(select(User.id).limit(1)) is not None:
        return None
    generated = None if password else secrets.token_urlsafe(12)
    create_user(session, name="admin", role=ADMIN, password=password or generated or "", actor="system:start", now=now)
    return generated


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_last_admin(session: Session, user: User) -> bool:
    """Asked under a lock on all of them, or two administrators could remove each other at the same moment."""
    admins = select(User.id).where(User.role == ADMIN, User.disabled.is_(False)).order_by(User.id).with_for_update()
    return set(session.scalars(admins)) <= {user.id}


def _role_problems(role: str) -> list[FieldProblem]:
    return [] if role in ROLES else [FieldProblem("role", f"{role!r} is not a role.", f"Use {', '.join(ROLES)}.")]


def _password_problems(password: str) -> list[FieldProblem]:
    if len(password) >= MIN_PASSWORD:
        return []
    return [FieldProblem("password", "is too short.", f"Use at least {MIN_PASSWORD} characters.")]
