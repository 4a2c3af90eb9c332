"""Signing in and out."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, make_response, redirect, render_template, request, url_for
from flask import session as cookie
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy.orm import Session

from pxeapp.accounts import service, sessions, throttle
from pxeapp.accounts.models import User
from pxeapp.api import guard
from pxeapp.api.context import actor, context
from pxeapp.api.places import came_from, path_of_ours
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.ui import typed
from pxeapp.ui.blueprint import bp

DEVICE_COOKIE = "pxeapp_device"
DEVICE_S = 180 * 86400


@bp.record_once
def _again(state: BlueprintSetupState) -> None:
    """What a form is answered whose session is over."""
    state.app.extensions[guard.AGAIN] = sign_in_again


@bp.get("/login")
def login() -> ResponseReturnValue:
    """The sign-in page."""
    return render_template("login.html", **view(back=path_of_ours(request.args.get("back", ""))))


@bp.post("/login")
def sign_in() -> ResponseReturnValue:
    """Sign in with name and password."""
    own, moment = context(), now()
    name, address = request.form.get("name", "")[:100], request.remote_addr or ""
    back, kept = path_of_ours(request.form.get("back", "")), request.form.get("kept", "")
    limits = throttle.of_sign_in(name, address, _device(name))
    try:
        throttle.count(own.database, limits, moment)
        with throttle.one_password_at_a_time, own.database.read() as session:
            user = service.sign_in(session, name, request.form.get("password", "")[:1000], now=moment)
    except PxeError as error:
        page = render_template("login.html", **view(problem=str(error), back=back, kept=kept, name=name))
        return page, error.status
    throttle.forgive(own.database, limits, moment)
    with own.database.write() as session:
        session.add(user)
        enter(session, user, method="password", second_factor_due=bool(user.totp_secret))
    if user.totp_secret:
        page = render_template("second_factor.html", back=back, kept=kept)
        return with_device(make_response(page), name)
    return with_device(make_response(arrive(back, kept)), name)


@bp.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End this session: a cookie that was copied is worth nothing afterwards."""
    who = actor()
    with context().database.write() as session:
        if who.session_id is not None and who.user_id is not None:
            sessions.end(session, who.user_id, who.session_id, actor=who.label, now=now())
    cookie.clear()
    return redirect(url_for("ui.login"), HTTPStatus.SEE_OTHER)


def sign_in_again() -> ResponseReturnValue:
    """The sign-in page in the place of what a form would have led to; what was typed is kept for afterwards."""
    kept = typed.keep(context().vault, request.path, request.form)
    page = render_template(
        "login.html", **view(problem="This session has ended. Sign in again.", kept=kept, back=came_from())
    )
    return Response(page, HTTPStatus.UNAUTHORIZED)


def view(**more: Any) -> dict[str, Any]:
    """What the sign-in page shows."""
    settings = context().settings
    label = (settings.oidc_label or "OpenID Connect") if settings.oidc_issuer else ""
    return {"problem": "", "back": "", "kept": "", "name": "", "oidc": label, **more}


def enter(session: Session, user: User, *, method: str, second_factor_due: bool = False) -> None:
    """Begin a session and put its secret into the browser's cookie."""
    moment, own = now(), context()
    sessions.sweep(session, guard.rules(own.settings), now=moment)
    secret = sessions.begin(
        session, user, method=method, address=request.remote_addr or "", now=moment,
        browser=request.headers.get("User-Agent", ""), second_factor_due=second_factor_due,
    )  # fmt: skip
    if not second_factor_due:
        service.signed_in(session, user, now=moment, method=method)
    guard.visit(secret)


def arrive(back: str, kept: str) -> ResponseReturnValue:
    """Where somebody goes who is in: to where they wanted, or to what they had typed."""
    found = typed.open_(context().vault, kept) if kept else None
    if found is not None:
        return render_template("again.html", path=found.path, fields=found.fields, back=back)
    return redirect(back or url_for("ui.index"), HTTPStatus.SEE_OTHER)


def with_device(response: Response, name: str) -> Response:
    """Remember that this browser has signed in with this name: strangers' tries do not concern it any more."""
    value = _devices().dumps([name, secrets.token_hex(8)])
    text = value if isinstance(value, str) else value.decode()
    response.set_cookie(
        DEVICE_COOKIE, text, max_age=DEVICE_S, httponly=True, samesite="Lax", secure=request.is_secure, path="/login"
    )
    return response


def _device(name: str) -> str:
    try:
        whose, number = _devices().loads(request.cookies.get(DEVICE_COOKIE, ""), max_age=DEVICE_S)
    except (BadSignature, ValueError, TypeError):
        return ""
    return str(number) if whose == name else ""


def _devices() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="device")
