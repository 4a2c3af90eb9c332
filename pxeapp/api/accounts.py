"""`/users` and `/tokens`: for administrators."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from pxeapp.accounts import service, sessions
from pxeapp.accounts import tokens as making
from pxeapp.accounts.models import ApiToken, User
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.db import now

users = APIBlueprint("users", __name__, url_prefix="/api/v1", tag="Users")
tokens = APIBlueprint("tokens", __name__, url_prefix="/api/v1", tag="Tokens")
RoleName = Literal["viewer", "operator", "admin"]
Projects = Annotated[
    list[Annotated[str, Field(max_length=63)]] | None,
    Field(
        description="The projects whose machines it sees and works with; null: all machines, [] none.", max_length=100
    ),
]


class UserIn(BaseModel):
    """A new user."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=63)]
    role: RoleName = "viewer"
    password: Annotated[str, Field(max_length=1000)]
    projects: Projects = None


class UserChange(BaseModel):
    """What can be changed; a new password ends the user's sessions."""

    model_config = ConfigDict(extra="forbid")
    role: RoleName | None = None
    password: Annotated[str, Field(max_length=1000)] | None = None
    disabled: bool | None = None
    projects: Projects = None


class TokenIn(BaseModel):
    """A token of one's own; it never exceeds the role and the projects of its user."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=63)]
    role: RoleName = "viewer"
    projects: Projects = None
    read_only: bool = False
    expires_at: AwareDatetime | None = None


class OneTime(BaseModel):
    """A password that is good for a day and has to be changed at the first sign-in."""

    name: str
    one_time_password: str
    valid_until: str


@users.get("/users")
@users.input(PageQuery, location="query", arg_name="query")
@users.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """List users"""
    with context().database.read() as session:
        found = select(User).where(User.name > query.after).order_by(User.name).limit(query.limit + 1)
        return page(session.scalars(found).all(), query.limit, service.shown, lambda row: row.name)


@users.get("/users/<name>")
@users.output({})
def show(name: str) -> Response:
    """Show a user"""
    with context().database.read() as session:
        return etags.answer(service.shown(service.get_user(session, name)))


@users.post("/users")
@users.input(UserIn, arg_name="said")
@users.output({}, status_code=201)
def create(said: UserIn) -> Response:
    """Add a user"""
    with context().database.write() as session:
        row = service.create_user(session, **said.model_dump(), actor=actor().label, now=now())
        return etags.answer(service.shown(row), HTTPStatus.CREATED)


@users.patch("/users/<name>")
@users.input(UserChange, arg_name="said")
@users.output({})
def change(name: str, said: UserChange) -> Response:
    """Change a user; it holds from their next request on"""
    values = said.model_dump()
    if "projects" not in said.model_fields_set:
        values.pop("projects")
    with context().database.write() as session:
        etags.check(service.shown(service.get_user(session, name)))
        return etags.answer(service.shown(service.change_user(session, name, **values, actor=actor().label, now=now())))


@users.delete("/users/<name>")
@users.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a user with their tokens"""
    with context().database.write() as session:
        etags.check(service.shown(service.get_user(session, name)))
        service.delete_user(session, name, actor=actor().label, now=now())
    return ""


@users.post("/users/<name>/reset-password")
@users.output(OneTime)
def reset_password(name: str) -> dict[str, Any]:
    """Give a user a one-time password, shown once, in this answer; ends their sessions and their second factor"""
    own, moment = context(), now()
    with own.database.write() as session:
        password = service.reset_password(session, name, actor=actor().label, now=moment)
        until = moment + service.ONE_TIME_LIFETIME
    return {"name": name, "one_time_password": password, "valid_until": until.isoformat()}


@users.delete("/users/<name>/sessions")
@users.output({}, status_code=204)
def end_sessions(name: str) -> str:
    """Sign a user out everywhere"""
    with context().database.write() as session:
        sessions.end_all(session, service.get_user(session, name), actor=actor().label, now=now())
    return ""


@tokens.get("/tokens", endpoint="listing")
@tokens.input(PageQuery, location="query", arg_name="query")
@tokens.output(Page)
def list_tokens(query: PageQuery) -> dict[str, Any]:
    """List tokens; their secrets are not kept"""
    with context().database.read() as session:
        found = select(ApiToken).where(ApiToken.id > query.after_id).order_by(ApiToken.id).limit(query.limit + 1)
        return page(session.scalars(found).all(), query.limit, making.shown, lambda row: row.id)


@tokens.post("/tokens", endpoint="create")
@tokens.input(TokenIn, arg_name="said")
@tokens.output({}, status_code=201)
def create_token(said: TokenIn) -> dict[str, Any]:
    """Make a token; its secret is shown once, in this answer"""
    moment = now()
    making.refuse_past(said.expires_at, moment)
    with context().database.write() as session:
        owner = session.get(User, actor().user_id) if actor().user_id else None
        row, secret = service.create_token(session, **said.model_dump(), user=owner, actor=actor().label, now=moment)
        return {**making.shown(row), "token": secret}


@tokens.delete("/tokens/<int:number>", endpoint="revoke")
@tokens.output({}, status_code=204)
def revoke(number: int) -> str:
    """Revoke a token; it is refused from the next request on"""
    with context().database.write() as session:
        service.revoke_token(session, number, actor=actor().label, now=now())
    return ""
