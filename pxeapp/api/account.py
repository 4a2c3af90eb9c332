"""`/account`: one's own account. What opens something is changed at a browser only, never with a token.

A token for the command line is had with name and password as well: see accounts/by_password.py.
"""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import current_app, request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from pxeapp.accounts import by_password, own, sessions
from pxeapp.accounts import tokens as making
from pxeapp.accounts.models import ApiToken
from pxeapp.accounts.permissions import PERMISSIONS, verdict
from pxeapp.api.accounts import RoleName, TokenIn
from pxeapp.api.context import actor, context
from pxeapp.api.guard import credential, rules, visit
from pxeapp.api.paging import Page, PageQuery, page, part
from pxeapp.db import now
from pxeapp.errors import Conflict

bp = APIBlueprint("account", __name__, url_prefix="/api/v1", tag="Account")
Secret = Annotated[str, Field(max_length=1000)]


class PasswordIn(BaseModel):
    """The old password and the new one."""

    model_config = ConfigDict(extra="forbid")
    old: Secret
    new: Secret


class SignInIn(BaseModel):
    """Name and password, a code where the account has a second factor, and the token that is wanted."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=100)]
    password: Secret
    code: Annotated[str, Field(max_length=40, description="Of your authenticator, or a recovery code.")] = ""
    token_name: Annotated[str, Field(min_length=1, max_length=63)] = "sign-in"  # noqa: S105 - a name
    days: Annotated[int, Field(ge=1, le=by_password.MOST_DAYS)] = by_password.DAYS
    role: Annotated[RoleName | None, Field(description="Left out: your own; never more than that.")] = None
    read_only: bool = False


class CodeIn(BaseModel):
    """A code of the authenticator."""

    model_config = ConfigDict(extra="forbid")
    code: Annotated[str, Field(max_length=40)]


class ConfirmIn(BaseModel):
    """The password once more: whoever found an open browser does not have it."""

    model_config = ConfigDict(extra="forbid")
    password: Secret


class OwnTokenOut(BaseModel):
    """The token that asks."""

    id: int
    name: str
    expires_at: str | None


class AccountOut(BaseModel):
    """`projects` null: all machines; `to_do`: what is to be done before anything else is possible."""

    actor: str
    role: str
    projects: list[str] | None
    read_only: bool
    signed_in_by: str
    to_do: str
    token: Annotated[OwnTokenOut | None, Field(description="Null where you came without one.")] = None
    may: Annotated[list[str], Field(description="Operations, by their operationId.")]


class SessionOut(BaseModel):
    """A browser that is signed in."""

    id: int
    present: Annotated[bool, Field(description="The one that asks.")]
    method: str
    address: str
    browser: str
    created_at: str
    seen_at: str


class TotpOut(BaseModel):
    """What an authenticator is set up with."""

    secret: str
    uri: str


class RecoveryOut(BaseModel):
    """Codes in the authenticator's place; each is good once."""

    recovery_codes: list[str]


@bp.get("/account")
@bp.output(AccountOut)
def show() -> dict[str, Any]:
    """Who you are, and every operation that you may use"""
    who = actor()
    return {
        "actor": who.label,
        "role": who.role,
        "projects": None if who.projects is None else sorted(who.projects),
        "read_only": who.read_only,
        "signed_in_by": who.by,
        "to_do": who.stage,
        "token": _token(),
        "may": [endpoint for endpoint in sorted(PERMISSIONS) if not endpoint.startswith("ui.") and _may(endpoint)],
    }


@bp.post("/account/sign-in")
@bp.input(SignInIn, arg_name="said")
@bp.output({}, status_code=201)
def sign_in(said: SignInIn) -> dict[str, Any]:
    """A token for your name and password; its secret is shown once, in this answer

    A code that is missing is a 422 at the field `code`: ask for it, and send everything again.
    """
    own_context = context()
    row, secret = by_password.token(
        own_context.database, own_context.vault,
        by_password.Credentials(said.name, said.password, said.code),
        by_password.Wanted(said.token_name, said.days, said.role, said.read_only),
        address=request.remote_addr or "", totp_roles=own_context.settings.totp_roles, now=now(),
    )  # fmt: skip
    return {**making.shown(row), "token": secret}


@bp.get("/account/sessions", endpoint="sessions")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def list_sessions(query: PageQuery) -> dict[str, Any]:
    """Your sessions that are alive, the last used first"""
    own_context = context()
    with own_context.database.read() as session:
        rows = sessions.listing(session, _user_id(), rules(own_context.settings), now=now())
        return part([own.shown_session(row, actor().session_id) for row in rows], query, lambda each: each["id"])


@bp.delete("/account/sessions/<int:number>")
@bp.output({}, status_code=204)
def end_session(number: int) -> str:
    """Sign out one of your browsers"""
    with context().database.write() as session:
        sessions.end(session, _user_id(), number, actor=actor().label, now=now())
    return ""


@bp.delete("/account/sessions")
@bp.output({}, status_code=204)
def end_sessions() -> str:
    """Sign out everywhere, here as well"""
    with context().database.write() as session:
        sessions.end_all(session, own.user(session, actor()), actor=actor().label, now=now())
    return ""


@bp.post("/account/password")
@bp.input(PasswordIn, arg_name="said")
@bp.output({}, status_code=204)
def password(said: PasswordIn) -> str:
    """Change your password; every other session of yours ends"""
    secret = own.change_password(context().database, actor(), old=said.old, new=said.new, now=now())
    visit(secret)
    return ""


@bp.post("/account/totp")
@bp.output(TotpOut)
def begin_totp() -> dict[str, Any]:
    """Begin to set up a second factor: the secret for your authenticator"""
    secret, address = own.begin_totp(context().database, context().vault, actor())
    return {"secret": secret, "uri": address}


@bp.post("/account/totp/confirm")
@bp.input(CodeIn, arg_name="said")
@bp.output(RecoveryOut)
def confirm_totp(said: CodeIn) -> dict[str, Any]:
    """Turn the second factor on with a first code; the recovery codes are shown once, in this answer"""
    codes = own.confirm_totp(context().database, context().vault, actor(), said.code, now=now())
    return {"recovery_codes": codes}


@bp.post("/account/totp/recovery-codes")
@bp.input(ConfirmIn, arg_name="said")
@bp.output(RecoveryOut)
def renew_recovery_codes(said: ConfirmIn) -> dict[str, Any]:
    """New recovery codes, shown once, in this answer; the old ones are worth nothing any more"""
    return {"recovery_codes": own.renew_recovery_codes(context().database, actor(), said.password, now=now())}


@bp.post("/account/totp/remove")
@bp.input(ConfirmIn, arg_name="said")
@bp.output({}, status_code=204)
def remove_totp(said: ConfirmIn) -> str:
    """Take your second factor away"""
    own.remove_totp(context().database, context().settings, actor(), said.password, now=now())
    return ""


@bp.get("/account/tokens", endpoint="tokens")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def list_tokens(query: PageQuery) -> dict[str, Any]:
    """Your own tokens; their secrets are not kept"""
    with context().database.read() as session:
        found = select(ApiToken).where(ApiToken.user_id == _user_id(), ApiToken.id > query.after_id)
        rows = session.scalars(found.order_by(ApiToken.id).limit(query.limit + 1)).all()
        return page(rows, query.limit, making.shown, lambda row: row.id)


@bp.post("/account/tokens")
@bp.input(TokenIn, arg_name="said")
@bp.output({}, status_code=201)
def create_token(said: TokenIn) -> dict[str, Any]:
    """Make a token of your own; its secret is shown once, in this answer"""
    moment = now()
    making.refuse_past(said.expires_at, moment)
    with context().database.write() as session:
        row, secret = making.create_token(
            session, **said.model_dump(), user=own.user(session, actor()), actor=actor().label, now=moment
        )
        return {**making.shown(row), "token": secret}


@bp.delete("/account/tokens/<int:number>")
@bp.output({}, status_code=204)
def revoke_token(number: int) -> str:
    """Revoke a token of your own"""
    with context().database.write() as session:
        making.revoke_token(session, number, actor=actor().label, now=now(), owner_id=_user_id())
    return ""


def _token() -> dict[str, Any] | None:
    if not (secret := credential().token):
        return None
    with context().database.read() as session:
        row = making.own(session, secret)
        return {name: making.shown(row)[name] for name in ("id", "name", "expires_at")} if row else None


def _may(endpoint: str) -> bool:
    methods = {method for rule in current_app.url_map.iter_rules(endpoint) for method in rule.methods or ()}
    return any(not verdict(actor(), endpoint, method) for method in methods - {"HEAD", "OPTIONS"})


def _user_id() -> int:
    number = actor().user_id
    if number is None:
        raise Conflict(f"{actor().label} belongs to no account here.")
    return number
