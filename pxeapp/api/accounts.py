"""`/users` and `/tokens`: for administrators."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from pxeapp.accounts import passwords, service, sessions
from pxeapp.accounts import tokens as making
from pxeapp.accounts.models import ApiToken, User
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid

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
    """A new user: with a password, or with `one_time` one that is made here and shown once, in the answer."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=63)]
    role: RoleName = "viewer"
    password: Annotated[str, Field(max_length=1000)] | None = None
    one_time: Annotated[bool, Field(description="It is good for a day, to be changed at the first sign-in.")] = False
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


class TokenForIn(TokenIn):
    """A token of somebody's; left out: of whoever asks, or of nobody's when they have no account."""

    user: Annotated[str, Field(max_length=63)] | None = None


class OneTime(BaseModel):
    """A password that is good for a day and has to be changed at the first sign-in."""

    name: str
    one_time_password: str
    valid_until: str


class UserOut(BaseModel):
    """Somebody who may sign in."""

    model_config = ConfigDict(extra="allow")
    name: str
    role: str
    projects: list[str] | None
    disabled: bool
    source: str
    second_factor: bool
    must_change_password: bool
    created_at: str
    last_sign_in_at: str | None


class TokenOut(BaseModel):
    """A token without its secret."""

    model_config = ConfigDict(extra="allow")
    id: int
    name: str
    role: str
    projects: list[str] | None
    read_only: bool
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked: bool


class NewTokenOut(TokenOut):
    """A token with its secret, which is never to be had again."""

    token: str


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
    if said.one_time == (said.password is not None):
        problem = FieldProblem("password", "and one_time go not together.", "Send one of them.")
        raise Invalid("The user cannot be added.", problems=[problem])
    password = passwords.one_time() if said.password is None else said.password
    with context().database.write() as session:
        values = {**said.model_dump(), "password": password}
        row = service.create_user(session, **values, actor=actor().label, now=now())
        more = {"one_time_password": password} if said.one_time else {}
        return etags.answer(service.shown(row), HTTPStatus.CREATED, **more)


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
        found = select(ApiToken, User.name).outerjoin(User, User.id == ApiToken.user_id)
        found = found.where(ApiToken.id > query.after_id).order_by(ApiToken.id).limit(query.limit + 1)
        rows = session.execute(found).all()
        return page(rows, query.limit, lambda row: {**making.shown(row[0]), "user": row[1]}, lambda row: row[0].id)


@tokens.post("/tokens", endpoint="create")
@tokens.input(TokenForIn, arg_name="said")
@tokens.output({}, status_code=201)
def create_token(said: TokenForIn) -> dict[str, Any]:
    """Make a token; its secret is shown once, in this answer"""
    moment = now()
    making.refuse_past(said.expires_at, moment)
    with context().database.write() as session:
        if said.user is not None:
            owner: User | None = service.get_user(session, said.user)
        else:
            owner = session.get(User, actor().user_id) if actor().user_id else None
        values = said.model_dump(exclude={"user"})
        row, secret = service.create_token(session, **values, user=owner, actor=actor().label, now=moment)
        return {**making.shown(row), "user": owner.name if owner else None, "token": secret}


@tokens.delete("/tokens/<int:number>", endpoint="revoke")
@tokens.output({}, status_code=204)
def revoke(number: int) -> str:
    """Revoke a token; it is refused from the next request on"""
    with context().database.write() as session:
        service.revoke_token(session, number, actor=actor().label, now=now())
    return ""
