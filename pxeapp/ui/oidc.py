"""Signing in by OpenID Connect: away to the provider, and back."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue

from pxeapp.accounts import external, oidc
from pxeapp.api.context import context
from pxeapp.api.places import path_of_ours
from pxeapp.db import now
from pxeapp.errors import NotFound, PxeError
from pxeapp.ui import sign_in
from pxeapp.ui.blueprint import bp
from pxeapp.vault import Undecryptable

KEPT = "oidc"


@bp.get("/login/oidc")
def oidc_begin() -> ResponseReturnValue:
    """To the provider."""
    own = context()
    _refuse_without(own.settings.oidc_issuer)
    back = path_of_ours(request.args.get("back", ""))
    try:
        place, pending = oidc.begin(own.settings, _callback(), now=now())
    except PxeError as error:
        return render_template("login.html", **sign_in.view(problem=str(error), back=back)), error.status
    cookie[KEPT] = own.vault.encrypt(json.dumps({**pending.to_dict(), "back": back}))
    return redirect(place, HTTPStatus.SEE_OTHER)


@bp.get("/login/oidc/callback")
def oidc_end() -> ResponseReturnValue:
    """Back from the provider. What was kept is used once, whatever comes of it."""
    own, moment = context(), now()
    _refuse_without(own.settings.oidc_issuer)
    kept = _kept(cookie.pop(KEPT, ""))
    back = path_of_ours(str(kept.get("back", "")))
    try:
        who = oidc.finish(own.settings, _callback(), kept, request.args, now=moment)
        with own.database.write() as session:
            user = external.account(session, own.settings, who, now=moment)
            sign_in.enter(session, user, method="oidc")
    except PxeError as error:
        return render_template("login.html", **sign_in.view(problem=str(error), back=back)), error.status
    return redirect(back or url_for("ui.index"), HTTPStatus.SEE_OTHER)


def _callback() -> str:
    base = context().settings.public_url or request.host_url.rstrip("/")
    return base + url_for("ui.oidc_end")


def _kept(said: Any) -> dict[str, Any]:
    try:
        found = json.loads(context().vault.decrypt(str(said)))
    except (Undecryptable, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse_without(issuer: str) -> None:
    if not issuer:
        raise NotFound("There is no sign-in by OpenID Connect here.", hint="An admin sets it up: PXEAPP_OIDC_ISSUER.")
