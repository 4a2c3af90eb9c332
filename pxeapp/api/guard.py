"""Before every request: who is asking, and may they? Deny by default, from one table."""

from __future__ import annotations

import datetime as dt
import hmac
import re
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from flask import Flask, Response, current_app, g, redirect, request, url_for
from flask import session as cookie
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from pxeapp import audit
from pxeapp.accounts import keystone, scope, service, sessions
from pxeapp.accounts.actor import IN_PROCESS, Actor
from pxeapp.accounts.permissions import PUBLIC, SAFE_METHODS, needed, verdict
from pxeapp.accounts.sessions import Rules
from pxeapp.api import refusals
from pxeapp.api.context import context
from pxeapp.api.places import came_from
from pxeapp.config import Settings
from pxeapp.db import now
from pxeapp.errors import Forbidden, Unauthenticated
from pxeapp.machines import projects  # from here on every query is held to it

__all__ = ["Credential", "credential", "csrf_token", "install", "projects", "rules", "visit"]

CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
SECRET = "sid"  # noqa: S105 - the cookie's name for it
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
AGAIN = "pxeapp.sign_in_again"  # what the pages answer to a form whose session is over, see ui/sign_in.py
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
STAGE_PAGES = {
    sessions.SECOND_FACTOR: "ui.second_factor",
    sessions.PASSWORD: "ui.account",
    sessions.ENROL: "ui.account",
}


def rules(settings: Settings) -> Rules:
    """How long sessions live here."""
    return Rules(
        idle=dt.timedelta(minutes=settings.session_idle_minutes),
        whole=dt.timedelta(hours=settings.session_hours),
        totp_roles=settings.totp_roles,
    )


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request was let in with, kept for an answer that outlives it: a stream asks again every few seconds."""

    token: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    rules: Rules | None = None
    subject: str = field(default="", repr=False)  # a token of Keystone's
    settings: Settings | None = field(default=None, repr=False, compare=False)

    def holds(self, session: Session, moment: dt.datetime, endpoint: str) -> bool:
        """Whether it would be let in now."""
        return self.whose(session, moment, endpoint) is not None

    def whose(self, session: Session, moment: dt.datetime, endpoint: str) -> Actor | None:
        """As whom it would be let in now; None: it would be refused."""
        try:
            if self.token:
                found, _stale = service.by_token(session, self.token, now=moment)
            elif self.subject and self.settings is not None:
                found = keystone.lately(self.settings, self.subject, moment)
            elif self.rules is not None:
                found = sessions.whose(session, self.secret, self.rules, now=moment).actor
            else:
                return None
        except Unauthenticated:
            return None
        return None if verdict(found, endpoint) else found


def credential() -> Credential:
    """That of this request; the guard has let it in."""
    if token := _bearer():
        return Credential(token=token)
    settings = context().settings
    if subject := _keystone_token():
        return Credential(subject=subject, settings=settings)
    return Credential(secret=str(cookie.get(SECRET, "")), rules=rules(settings))


def install(app: Flask) -> None:
    """Put the guard before, and the headers after, every request."""
    app.before_request(_check)
    app.after_request(_headers)
    app.after_request(refusals.note)
    app.teardown_request(_forget)


def csrf_token() -> str:
    """The token of this browser session, for forms and htmx."""
    if CSRF_FIELD not in cookie:
        cookie[CSRF_FIELD] = secrets.token_urlsafe(24)
    return str(cookie[CSRF_FIELD])


def visit(secret: str) -> None:
    """Give the browser a session's secret; whatever its cookie held before is of no use any more."""
    cookie.clear()
    cookie.permanent = True
    cookie[SECRET] = secret


def has_csrf() -> bool:
    """Whether this request proves that a page of ours sent it."""
    sent = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    return bool(sent) and hmac.compare_digest(sent.encode(), str(cookie.get(CSRF_FIELD, "")).encode())


def _forget(_error: BaseException | None) -> None:
    """What this thread does after the request is nobody's request any more."""
    audit.came_from(audit.Source())


def _check() -> AnyResponse | None:
    scope.limit(None)
    said = request.headers.get("X-Request-Id", "")
    g.request_id = said if REQUEST_ID.fullmatch(said) else secrets.token_hex(8)
    audit.came_from(audit.Source(request.remote_addr or "", g.request_id))
    if request.endpoint is None:
        return None  # no such route: 404 or 405 is on its way
    least = needed(request.endpoint)
    _refuse_other_sites()
    if least is None:
        raise Forbidden(f"{request.endpoint} is in no permission table, so nobody may use it.")
    if least == PUBLIC:
        # Two tabs that open the sign-in page together have one cookie and two proofs; the browser itself knows better.
        if request.blueprint == "ui" and request.headers.get("Origin") != request.host_url.rstrip("/"):
            _check_csrf()
        return None
    try:
        found = _who()
    except Unauthenticated:
        if request.blueprint == "ui":
            return _to_sign_in()
        raise
    g.actor = found
    scope.limit(found.projects)
    refused = verdict(found, request.endpoint, request.method)
    if refused and found.stage and request.blueprint == "ui" and request.method in SAFE_METHODS:
        return _elsewhere(url_for(STAGE_PAGES[found.stage]))
    if refused:
        raise Forbidden(refused)
    return None


def _to_sign_in() -> AnyResponse:
    """A page leads to the sign-in page; a part of a page, which htmx asks for, must not be replaced by it."""
    if request.headers.get("HX-Request"):
        return _elsewhere(_login(came_from("HX-Current-URL")))
    if request.method not in SAFE_METHODS:
        # A browser that was left alone for a day has thrown the cookie away, and the proof in it; it says itself whose
        # page sent the form. What was typed is shown once more before it is sent, by who has signed in again.
        if not has_csrf() and request.headers.get("Sec-Fetch-Site") != "same-origin":
            raise Unauthenticated("This session has ended.", hint="Sign in again.")
        return cast(AnyResponse, current_app.extensions[AGAIN]())
    return _elsewhere(_login(request.full_path.removesuffix("?")))


def _login(wanted: str) -> str:
    return url_for("ui.login") if wanted in ("", "/") else url_for("ui.login", back=wanted)


def _elsewhere(place: str) -> AnyResponse:
    if request.headers.get("HX-Request"):
        return Response(status=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": place})
    return redirect(place, HTTPStatus.SEE_OTHER)


def _refuse_other_sites() -> None:
    """Every browser says where a request came from: nobody signs a visitor in, or out, from another site."""
    if request.method not in SAFE_METHODS and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise Forbidden("This request came from another site.", hint="Use the pages of the appliance itself.")


def _bearer() -> str:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def _keystone_token() -> str:
    return request.headers.get("X-Auth-Token", "") if context().settings.keystone_url else ""


def _who() -> Actor:
    if (here := request.environ.get(IN_PROCESS)) is not None:
        return cast(Actor, here)
    if token := _bearer():
        return _by_token(token)
    if subject := _keystone_token():
        return keystone.whose(context().settings, subject, now())
    if SECRET in cookie:
        found = _by_session(str(cookie[SECRET]))
        _check_csrf()
        return found
    raise Unauthenticated("This needs a token.", hint="Send Authorization: Bearer TOKEN, or sign in at /login.")


def _by_token(secret: str) -> Actor:
    with context().database.read() as session:
        found, stale = service.by_token(session, secret, now=now())
    if stale:
        with context().database.write() as session:
            service.note_token_use(session, secret, now=now())
    return found


def _by_session(secret: str) -> Actor:
    own, moment = context(), now()
    with own.database.read() as session:
        found = sessions.whose(session, secret, rules(own.settings), now=moment)
    if found.stale:
        with own.database.write() as session:
            sessions.note_use(session, found.row.id, now=moment)
    if found.outdated:  # whoever had read the secret of a viewer must not have one of an admin
        with own.database.write() as session:
            cookie[SECRET] = sessions.rotate(session, found.row.id, now=moment)
    return found.actor


def _check_csrf() -> None:
    """A browser sends our cookie on anybody's behalf; what changes something must prove that our page sent it."""
    if request.method not in SAFE_METHODS and not has_csrf():
        raise Forbidden("This form is too old or came from another site.", hint="Load the page again.")


def _headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Cache-Control", "no-store")
    if "request_id" in g:
        response.headers.setdefault("X-Request-Id", g.request_id)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response
