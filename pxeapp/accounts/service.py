"""Users: added, changed, signed in. Who comes with a request is checked on every request, against the rows."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts import passwords, second_factor
from pxeapp.accounts.actor import Actor
from pxeapp.accounts.limits import project_problems, role_problems
from pxeapp.accounts.models import ApiToken, User, UserSession
from pxeapp.accounts.permissions import ADMIN
from pxeapp.accounts.tokens import (
    LAST_USED_STEP,
    TOKEN_PREFIX,
    by_token,
    create_token,
    note_token_use,
    revoke_token,
)
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound, Unauthenticated

__all__ = [
    "LAST_USED_STEP", "TOKEN_PREFIX", "Actor", "by_token", "create_token", "note_token_use", "revoke_token",
]  # fmt: skip

ONE_TIME_LIFETIME = dt.timedelta(hours=24)
LOCAL, OIDC = "local", "oidc"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")


def create_user(
    session: Session,
    *,
    name: str,
    role: str,
    password: str,
    actor: str,
    now: dt.datetime,
    projects: Sequence[str] | None = None,
    one_time: bool = False,
) -> User:
    """Add a user; raises Invalid with the field, or Conflict for a name that is taken."""
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(FieldProblem("name", f"{name[:63]!r} cannot be a user name.", "Use a-z, 0-9, dot, dash, @."))
    problems += role_problems(role)
    problems += project_problems(role, projects)
    problems += passwords.problems(password, name=name)
    if problems:
        raise Invalid("The user cannot be added.", problems=problems)
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        raise Conflict(f"There already is a user {name}.")
    user = User(
        name=name, role=role, password_hash=passwords.hashed(password), created_at=now,
        projects=None if projects is None else sorted(set(projects)),
        must_change_password=one_time, password_until=now + ONE_TIME_LIFETIME if one_time else None,
    )  # fmt: skip
    session.add(user)
    session.flush()
    audit.record(session, at=now, actor=actor, action="user.create", subject=name, role=role, after=shown(user))
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
    **more: Any,
) -> User:
    """Change a user; a new password or a disabled account ends every session of theirs at once.

    `projects` may be given, and None then means all of them.
    """
    user = get_user(session, name)
    before = shown(user)
    projects = more.get("projects", user.projects)
    problems = [
        *(role_problems(role) if role is not None else []),
        *project_problems(role or user.role, projects),
        *(passwords.problems(password, name=name) if password is not None else []),
    ]
    if problems:
        raise Invalid("The user cannot be changed.", problems=problems)
    if password is not None and user.source != LOCAL:
        raise Conflict(f"{name} signs in elsewhere and has no password here.")
    if (role not in (None, ADMIN) or disabled) and user.role == ADMIN and _is_last_admin(session, user):
        raise Conflict(f"{name} is the last administrator.", hint="Make another one first.")
    if role is not None:
        user.role = role
    if "projects" in more:
        user.projects = None if projects is None else sorted(set(projects))
    if password is not None:
        _give_password(user, password)
    if disabled is not None:
        user.disabled = disabled
    if password is not None or disabled:
        _end_sessions(session, user)
    differs = audit.difference(before, shown(user))
    changed = [field for field in ("role", "projects", "disabled") if field in differs["after"]]
    changed += ["password"] if password is not None else []
    audit.record(session, at=now, actor=actor, action="user.change", subject=name, changed=changed, **differs)
    return user


def change_own_password(session: Session, user_id: int, *, old: str, new: str, now: dt.datetime) -> User:
    """A new password, by its owner who knows the old one; every session of theirs ends, the caller begins one anew."""
    user = session.get_one(User, user_id, with_for_update=True)
    if user.source != LOCAL:
        raise Conflict("You sign in elsewhere and have no password here.", hint="Change it there.")
    if not passwords.fits(user.password_hash, old):
        problem = FieldProblem("old", "is not your present password.", "Enter the one that you signed in with.")
        raise Invalid("The password cannot be changed.", problems=[problem])
    problems = passwords.problems(new, name=user.name, field="new")
    if not problems and old == new:
        problems = [FieldProblem("new", "is the old one.", "Choose another.")]
    if problems:
        raise Invalid("The password cannot be changed.", problems=problems)
    _give_password(user, new)
    _end_sessions(session, user)
    audit.record(session, at=now, actor=f"user:{user.name}", action="user.password", subject=user.name)
    return user


def reset_password(session: Session, name: str, *, actor: str, now: dt.datetime) -> str:
    """A one-time password for who has lost theirs: good for a day, and to be changed at the first sign-in.

    Takes the second factor away as well: who lost both must get in, and who holds a role that needs one sets up a new.
    """
    user = get_user(session, name)
    if user.source != LOCAL:
        raise Conflict(f"{name} signs in elsewhere and has no password here.")
    password = passwords.one_time()
    _give_password(user, password)
    user.must_change_password, user.password_until = True, now + ONE_TIME_LIFETIME
    _end_sessions(session, user)
    second_factor.remove(session, user, actor=actor, now=now)
    audit.record(session, at=now, actor=actor, action="user.reset_password", subject=name)
    return password


def delete_user(session: Session, name: str, *, actor: str, now: dt.datetime) -> None:
    """Remove a user with all their tokens."""
    user = get_user(session, name)
    if user.role == ADMIN and _is_last_admin(session, user):
        raise Conflict(f"{name} is the last administrator.", hint="Make another one first.")
    for token in session.scalars(select(ApiToken).where(ApiToken.user_id == user.id)):
        session.delete(token)
    session.flush()
    audit.record(session, at=now, actor=actor, action="user.delete", subject=name, before=shown(user))
    session.delete(user)


def get_user(session: Session, name: str) -> User:
    """A user by name; raises NotFound."""
    user = _by_name(session, name)
    if user is None:
        raise NotFound(f"There is no user {name[:63]!r}.")
    return user


def _by_name(session: Session, name: str) -> User | None:
    """Nothing but a possible name is looked for: PostgreSQL refuses to compare with a NUL."""
    return session.scalar(select(User).where(User.name == name)) if _NAME.fullmatch(name) else None


def sign_in(session: Session, name: str, password: str, *, now: dt.datetime | None = None) -> User:
    """The user behind name and password; raises the same Unauthenticated for whatever is wrong."""
    user = _by_name(session, name)
    right = passwords.fits(user.password_hash if user else "", password)
    late = user is not None and user.password_until is not None and now is not None and user.password_until <= now
    if user is None or not right or user.disabled or user.source != LOCAL or late:
        raise Unauthenticated("User name or password is wrong.")
    return user


def signed_in(session: Session, user: User, *, now: dt.datetime, method: str) -> None:
    """Keep that somebody came in."""
    user.last_sign_in_at = now
    audit.record(session, at=now, actor=f"user:{user.name}", action="session.begin", subject=user.name, method=method)


def shown(user: User) -> dict[str, Any]:
    """A user as API, pages and audit show it: nothing that opens anything."""
    return {
        "name": user.name,
        "role": user.role,
        "projects": user.projects,
        "disabled": user.disabled,
        "source": user.source,
        "second_factor": bool(user.totp_secret),
        "must_change_password": user.must_change_password,
        "created_at": user.created_at.isoformat(),
        "last_sign_in_at": user.last_sign_in_at.isoformat() if user.last_sign_in_at else None,
    }


def bootstrap(session: Session, *, password: str | None, now: dt.datetime) -> str | None:
    """At the first start: make `admin`. Returns the generated password to be shown once, or None.

    Does nothing when any user exists.
    """
    if session.scalar(select(User.id).limit(1)) is not None:
        return None
    generated = None if password else secrets.token_urlsafe(12)
    create_user(session, name="admin", role=ADMIN, password=password or generated or "", actor="system:start", now=now)
    return generated


def _give_password(user: User, password: str) -> None:
    user.password_hash = passwords.hashed(password)
    user.must_change_password, user.password_until = False, None


def _end_sessions(session: Session, user: User) -> None:
    user.session_epoch += 1
    session.execute(delete(UserSession).where(UserSession.user_id == user.id))


def _is_last_admin(session: Session, user: User) -> bool:
    """Asked under a lock on all of them, or two administrators could remove each other at the same moment."""
    admins = select(User.id).where(User.role == ADMIN, User.disabled.is_(False)).order_by(User.id).with_for_update()
    return set(session.scalars(admins)) <= {user.id}
