"""`/users`, `/tokens`, `/audit`: for administrators."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from apiflask import APIBlueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select

from pxeapp.accounts import service
from pxeapp.accounts.models import ApiToken, User
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.audit import AuditRow
from pxeapp.db import now

users = APIBlueprint("users", __name__, url_prefix="/api/v1", tag="Users")
tokens = APIBlueprint("tokens", __name__, url_prefix="/api/v1", tag="Tokens")
audit = APIBlueprint("audit", __name__, url_prefix="/api/v1", tag="Audit")
RoleName = Literal["viewer", "operator", "admin"]


class UserIn(BaseModel):
    """A new user."""

    model_config = ConfigDict(extra="forbid")
    name: str
    role: RoleName = "viewer"
    password: str


class UserChange(BaseModel):
    """What can be changed; a new password ends the user's sessions."""

    model_config = ConfigDict(extra="forbid")
    role: RoleName | None = None
    password: str | None = None
    disabled: bool | None = None


class TokenIn(BaseModel):
    """A token of one's own; it never exceeds the role of its user."""

    model_config = ConfigDict(extra="forbid")
    name: str
    role: RoleName = "viewer"
    expires_at: AwareDatetime | None = None


@users.get("/users")
@users.input(PageQuery, location="query", arg_name="query")
@users.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List users"""
    with context().database.read() as session:
        found = select(User).where(User.name > query.after).order_by(User.name).limit(query.limit + 1)
        return page(session.scalars(found).all(), query.limit, _user, lambda row: row.name)


@users.post("/users")
@users.input(UserIn, arg_name="said")
@users.output({}, status_code=201)
def create(said: UserIn) -> dict[str, Any]:
    """Add a user"""
    with context().database.write() as session:
        return _user(service.create_user(session, **said.model_dump(), actor=actor().label, now=now()))


@users.patch("/users/<name>")
@users.input(UserChange, arg_name="said")
def change(name: str, said: UserChange) -> dict[str, Any]:
    """Change a user"""
    with context().database.write() as session:
        return _user(service.change_user(session, name, **said.model_dump(), actor=actor().label, now=now()))


@users.delete("/users/<name>")
@users.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a user with their tokens"""
    with context().database.write() as session:
        service.delete_user(session, name, actor=actor().label, now=now())
    return ""


@tokens.get("/tokens", endpoint="listing")
@tokens.input(PageQuery, location="query", arg_name="query")
@tokens.output(Page)
def list_tokens(query: PageQuery) -> dict[str, Any]:
    """List tokens; their secrets are not kept"""
    with context().database.read() as session:
        found = select(ApiToken).where(ApiToken.id > query.after_id).order_by(ApiToken.id).limit(query.limit + 1)
        return page(session.scalars(found).all(), query.limit, _token, lambda row: row.id)


@tokens.post("/tokens", endpoint="create")
@tokens.input(TokenIn, arg_name="said")
@tokens.output({}, status_code=201)
def create_token(said: TokenIn) -> dict[str, Any]:
    """Make a token; its secret is shown once, in this answer"""
    with context().database.write() as session:
        owner = session.get(User, actor().user_id) if actor().user_id else None
        row, secret = service.create_token(session, **said.model_dump(), user=owner, actor=actor().label, now=now())
        return {**_token(row), "token": secret}


@tokens.delete("/tokens/<int:number>", endpoint="revoke")
@tokens.output({}, status_code=204)
def revoke(number: int) -> str:
    """Revoke a token; it is refused from the next request on"""
    with context().database.write() as session:
        service.revoke_token(session, number, actor=actor().label, now=now())
    return ""


@audit.get("/audit", endpoint="listing")
@audit.input(PageQuery, location="query", arg_name="query")
@audit.output(Page)
def list_audit(query: PageQuery) -> dict[str, Any]:
    """Who did what, oldest first"""
    with context().database.read() as session:
        found = select(AuditRow).where(AuditRow.id > query.after_id).order_by(AuditRow.id).limit(query.limit + 1)
        return page(session.scalars(found).all(), query.limit, _audit, lambda row: row.id)


def _user(row: User) -> dict[str, Any]:
    return {"name": row.name, "role": row.role, "disabled": row.disabled, "created_at": row.created_at.isoformat()}


def _token(row: ApiToken) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role,
        "created_at": row.created_at.isoformat(),
        "expires_at": _iso(row.expires_at),
        "last_used_at": _iso(row.last_used_at),
        "revoked": row.revoked,
    }


def _audit(row: AuditRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "details": row.details,
    }


def _iso(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
