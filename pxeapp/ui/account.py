"""One's own account: password, second factor, sessions, tokens."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from pxeapp.accounts import own, second_factor, sessions, tokens
from pxeapp.accounts.models import ApiToken
from pxeapp.accounts.permissions import ROLES, allows
from pxeapp.api import guard
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.ui import token_form
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import answered, at_part

TOKENS_SHOWN = 200


@bp.get("/account")
def account() -> ResponseReturnValue:
    """The page."""
    return render_template("account.html", **_view())


@bp.post("/account/password")
def change_password() -> ResponseReturnValue:
    """A new password for who knows the old one."""
    old, new, again = (request.form.get(name, "")[:2000] for name in ("old", "new", "again"))

    def work() -> ResponseReturnValue:
        if new != again:
            problem = FieldProblem("again", "is not the same as the new password.", "Type it once more.")
            raise Invalid("The password was not changed.", problems=[problem])
        was_due = actor().stage == sessions.PASSWORD
        guard.visit(own.change_password(context().database, actor(), old=old, new=new, now=now()))
        return redirect(url_for("ui.index") if was_due else url_for("ui.account", done="password"), 303)

    return answered("account.html", _view, "password", work)


@bp.post("/account/totp")
def begin_totp() -> ResponseReturnValue:
    """Show the picture for an authenticator."""
    return answered("account.html", _view, "totp", lambda: render_template("account.html", **_view(), **_picture()))


@bp.post("/account/totp/confirm")
def confirm_totp() -> ResponseReturnValue:
    """Turn it on with a first code, and show the recovery codes, once."""
    here = context()
    try:
        codes = own.confirm_totp(here.database, here.vault, actor(), request.form.get("code", "")[:40], now=now())
    except PxeError as error:
        again = _picture() if error.status == HTTPStatus.UNPROCESSABLE_ENTITY else {}
        return render_template("account.html", **{**_view(), **again, **at_part("totp", error)}), error.status
    return render_template("account.html", **{**_view(), "codes": codes, "part": "totp"})


@bp.post("/account/totp/recovery-codes")
def renew_recovery_codes() -> ResponseReturnValue:
    """New ones, shown once."""

    def work() -> ResponseReturnValue:
        password = request.form.get("password", "")[:2000]
        codes = own.renew_recovery_codes(context().database, actor(), password, now=now())
        return render_template("account.html", **{**_view(), "codes": codes, "part": "totp"})

    return answered("account.html", _view, "totp", work)


@bp.post("/account/totp/remove")
def remove_totp() -> ResponseReturnValue:
    """Take the second factor away."""

    def work() -> ResponseReturnValue:
        here = context()
        own.remove_totp(here.database, here.settings, actor(), request.form.get("password", "")[:2000], now=now())
        return redirect(url_for("ui.account", done="totp"), 303)

    return answered("account.html", _view, "totp", work)


@bp.post("/account/sessions/<int:number>/end")
def end_session(number: int) -> ResponseReturnValue:
    """Sign out one browser."""

    def work() -> ResponseReturnValue:
        with context().database.write() as session:
            user = own.user(session, actor())
            sessions.end(session, user.id, number, actor=actor().label, now=now())
        return redirect(url_for("ui.account", done="session"), 303)

    return answered("account.html", _view, "sessions", work)


@bp.post("/account/sessions/end")
def end_sessions() -> ResponseReturnValue:
    """Sign out everywhere, here as well."""
    with context().database.write() as session:
        sessions.end_all(session, own.user(session, actor()), actor=actor().label, now=now())
    cookie.clear()
    return redirect(url_for("ui.login"), 303)


@bp.post("/account/tokens")
def create_own_token() -> ResponseReturnValue:
    """A token, shown once."""

    def work() -> ResponseReturnValue:
        said = token_form.read(request.form, now())
        with context().database.write() as session:
            row, secret = tokens.create_token(
                session, **said, user=own.user(session, actor()), actor=actor().label, now=now()
            )
        return render_template("account.html", **{**_view(), "new_token": secret, "new_token_name": row.name})

    return answered("account.html", _view, "tokens", work)


@bp.post("/account/tokens/<int:number>/revoke")
def revoke_own_token(number: int) -> ResponseReturnValue:
    """End one of one's own tokens."""

    def work() -> ResponseReturnValue:
        with context().database.write() as session:
            user = own.user(session, actor())
            tokens.revoke_token(session, number, actor=actor().label, now=now(), owner_id=user.id)
        return redirect(url_for("ui.account", done="token"), 303)

    return answered("account.html", _view, "tokens", work)


def _view() -> dict[str, Any]:
    here, who, moment = context(), actor(), now()
    with here.database.read() as session:
        user = own.user(session, who)
        rows = sessions.listing(session, user.id, guard.rules(here.settings), now=moment)
        mine = select(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked.is_(False))
        listed = session.scalars(mine.order_by(ApiToken.id.desc()).limit(TOKENS_SHOWN)).all()
    return {
        "user": user,
        "sessions": rows,
        "present": who.session_id,
        "tokens": listed,
        "moment": moment,
        "roles": [role for role in ROLES if allows(user.role, role)],
        "totp_needed": user.role in here.settings.totp_roles,
        "form": request.form,
        "errors": {},
        "done": request.args.get("done", ""),
    }


def _picture() -> dict[str, Any]:
    here, who = context(), actor()
    secret, _uri = own.begin_totp(here.database, here.vault, who)
    return {"secret": secret, "picture": second_factor.picture(secret, who.label.partition(":")[2]), "part": "totp"}
