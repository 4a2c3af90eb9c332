"""Signing in and out."""

from __future__ import annotations

from http import HTTPStatus

from flask import current_app, redirect, render_template, request, url_for
from flask import session as cookie
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from pxeapp.accounts import service
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.ui.blueprint import bp
from pxeapp.ui.sign_in_limit import SignInLimit

LIMIT = "pxeapp.sign_in_limit"


@bp.record_once
def _limited(state: BlueprintSetupState) -> None:
    """Each application counts for itself."""
    state.app.extensions[LIMIT] = SignInLimit()


@bp.get("/login")
def login() -> ResponseReturnValue:
    """The sign-in page."""
    return render_template("login.html", problem="", back=_back(request.args.get("back", "")))


@bp.post("/login")
def sign_in() -> ResponseReturnValue:
    """Sign in with name and password."""
    name, address = request.form.get("name", "")[:100], request.remote_addr or ""
    back = _back(request.form.get("back", ""))
    limit: SignInLimit = current_app.extensions[LIMIT]
    try:
        limit.count(name, address, now())
        with limit.one_at_a_time, context().database.read() as session:
            user = service.sign_in(session, name, request.form.get("password", "")[:1000])
    except PxeError as error:
        return render_template("login.html", problem=str(error), back=back), error.status
    limit.forgive(name, address)
    cookie.clear()
    cookie.permanent = True
    cookie.update(user=user.id, epoch=user.session_epoch)
    return redirect(back or url_for("ui.index"), HTTPStatus.SEE_OTHER)


@bp.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End every session of this user: a cookie that was copied is worth nothing afterwards."""
    number = actor().user_id
    if number is not None:
        with context().database.write() as session:
            service.end_sessions(session, number)
    cookie.clear()
    return redirect(url_for("ui.login"), HTTPStatus.SEE_OTHER)


def _back(place: str) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    plain = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()
    return place[:500] if plain else ""
