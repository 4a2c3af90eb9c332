"""The second page of signing in: a code of the authenticator, or a recovery code."""

from __future__ import annotations

from http import HTTPStatus

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pxeapp.accounts import own, second_factor, service, sessions, throttle
from pxeapp.api.context import actor, context
from pxeapp.api.guard import visit
from pxeapp.api.places import path_of_ours
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.ui.blueprint import bp
from pxeapp.ui.sign_in import arrive


@bp.get("/login/code", endpoint="second_factor")
def second_factor_page() -> ResponseReturnValue:
    """The page."""
    if actor().stage != sessions.SECOND_FACTOR:
        return redirect(url_for("ui.index"), HTTPStatus.SEE_OTHER)
    return render_template("second_factor.html", back=path_of_ours(request.args.get("back", "")), kept="")


@bp.post("/login/code")
def check_second_factor() -> ResponseReturnValue:
    """Enter a code."""
    who, here, moment = actor(), context(), now()
    back, kept = path_of_ours(request.form.get("back", "")), request.form.get("kept", "")
    if who.stage != sessions.SECOND_FACTOR or who.session_id is None or who.user_id is None:
        return redirect(url_for("ui.index"), HTTPStatus.SEE_OTHER)
    limits = throttle.of_code(who.user_id)
    try:
        throttle.count(here.database, limits, moment)
        with here.database.write() as session:
            user = own.user(session, who)
            how = second_factor.check(session, here.vault, user, request.form.get("code", "")[:40], now=moment)
            secret = sessions.complete(session, who.session_id, now=moment)
            service.signed_in(session, user, now=moment, method=f"password and {how}")
    except PxeError as error:
        return render_template("second_factor.html", problem=str(error), back=back, kept=kept), error.status
    throttle.forgive(here.database, limits, moment)
    visit(secret)
    return arrive(back, kept)
