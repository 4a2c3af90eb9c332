"""API tokens: with a role, projects, perhaps only to read, and an end; the secret is shown once and kept as a hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.accounts import scope
from pxeapp.accounts.actor import TOKEN, Actor
from pxeapp.accounts.limits import project_problems, role_problems
from pxeapp.accounts.models import ApiToken, User
from pxeapp.accounts.permissions import lesser
from pxeapp.errors import FieldProblem, Invalid, NotFound, Unauthenticated

# So that a token that leaked into a log or a repository is found by a search.
TOKEN_PREFIX = "pxe_"  # noqa: S105 - the part that is no secret
MAX_TOKEN_NAME = 63
LAST_USED_STEP = dt.timedelta(minutes=1)  # a busy token writes its row once a minute, not at every request


def create_token(
    session: Session,
    *,
    name: str,
    role: str,
    actor: str,
    now: dt.datetime,
    user: User | None = None,
    expires_at: dt.datetime | None = None,
    projects: Sequence[str] | None = None,
    read_only: bool = False,
) -> tuple[ApiToken, str]:
    """A new token's row and its secret, which is never to be had again."""
    problems = [*role_problems(role), *project_problems(role, projects)]
    if not 0 < len(name) <= MAX_TOKEN_NAME or not name.isprintable():
        fix = f"Use one line of at most {MAX_TOKEN_NAME} characters."
        problems.append(FieldProblem("name", f"{name[:MAX_TOKEN_NAME]!r} cannot be a token's name.", fix))
    if user is not None and user.projects is not None and not set(projects or ()) <= set(user.projects):
        fix = f"Use some of {', '.join(user.projects) or 'none'}, or leave them out."
        problems.append(FieldProblem("projects", f"reach further than {user.name} does.", fix))
    if problems:
        raise Invalid("The token cannot be made.", problems=problems)
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        name=name,
        token_hash=_digest(secret),
        role=role,
        projects=None if projects is None else sorted(set(projects)),
        read_only=read_only,
        user_id=user.id if user else None,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    said = {name: value for name, value in shown(row).items() if name not in ("id", "last_used_at", "revoked")}
    audit.record(
        session, at=now, actor=actor, action="token.create", subject=name, role=role, number=row.id, after=said
    )
    return row, secret


def refuse_past(expires_at: dt.datetime | None, now: dt.datetime) -> None:
    """A token that never opened anything is a mistake of who wrote the date."""
    if expires_at is not None and expires_at <= now:
        problem = FieldProblem("expires_at", "is over already.", "Give a moment that is still to come.")
        raise Invalid("The token cannot be made.", problems=[problem])


def revoke_token(session: Session, token_id: int, *, actor: str, now: dt.datetime, owner_id: int | None = None) -> None:
    """End a token; idempotent. With `owner_id` only one of that user's own."""
    row = session.get(ApiToken, token_id)
    if row is None or owner_id not in (None, row.user_id):
        raise NotFound(f"There is no token {token_id}.")
    row.revoked = True
    audit.record(session, at=now, actor=actor, action="token.revoke", subject=row.name, number=row.id)


def by_token(session: Session, secret: str, *, now: dt.datetime) -> tuple[Actor, bool]:
    """Who a bearer token stands for, and whether its last use should be noted; raises Unauthenticated."""
    digest = _digest(secret[:200])
    row = session.scalar(select(ApiToken).where(ApiToken.token_hash == digest))
    refused = Unauthenticated("This token is not valid.", hint="Make one with: pxeapp token create --role ROLE")
    if row is None or not hmac.compare_digest(row.token_hash, digest) or row.revoked:
        raise refused
    if row.expires_at is not None and row.expires_at <= now:
        raise refused
    role, projects = row.role, row.projects
    limit = scope.both(projects, None)
    if row.user_id is not None:
        user = session.get(User, row.user_id)
        if user is None or user.disabled:
            raise refused
        role, limit = lesser(role, user.role), scope.both(projects, user.projects)
    stale = row.last_used_at is None or now - row.last_used_at >= LAST_USED_STEP
    actor = Actor(f"token:{row.name}", role, row.user_id, limit, row.read_only, by=TOKEN)
    return actor, stale


def note_token_use(session: Session, secret: str, *, now: dt.datetime) -> None:
    """Keep when a token was last used."""
    row = own(session, secret)
    if row is not None:
        row.last_used_at = now


def own(session: Session, secret: str) -> ApiToken | None:
    """The token that somebody came with."""
    return session.scalar(select(ApiToken).where(ApiToken.token_hash == _digest(secret[:200])))


def shown(row: ApiToken) -> dict[str, Any]:
    """A token as API, pages and audit show it."""
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role,
        "projects": row.projects,
        "read_only": row.read_only,
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "last_used_at": row.last_used_at.isoformat() if row.last_used_at else None,
        "revoked": row.revoked,
    }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
