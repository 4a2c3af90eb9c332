"""Before every request: who is asking, and may they? Deny by default, from one table."""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus

from flask import Flask, Response, g, redirect, request, url_for
from flask import session as cookie
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from pxeapp.accounts import service
from pxeapp.accounts.permissions import PUBLIC, allows, needed
from pxeapp.accounts.service import Actor
from pxeapp.api.context import context
from pxeapp.db import now
from pxeapp.errors import Forbidden, Unauthenticated

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request was let in with, kept for an answer that outlives it: a stream asks again every few seconds."""

    token: str = field(default="", repr=False)
    user_id: int = 0
    epoch: int = 0

    def holds(self, session: Session, moment: dt.datetime, endpoint: str) -> bool:
        """Whether it would be let in now."""
        try:
            if self.token:
                found, _stale = service.by_token(session, self.token, now=moment)
            else:
                found = service.by_session(session, self.user_id, self.epoch)
        except Unauthenticated:
            return False
        least = needed(endpoint)
        return least is not None and allows(found.role, least)


def credential() -> Credential:
    """That of this request; the guard has let it in."""
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and secret:
        return Credential(token=secret.strip())
    return Credential(user_id=int(cookie["user"]), epoch=int(cookie.get("epoch", 0)))


def install(app: Flask) -> None:
    """Put the guard before, and the headers after, every request."""
    app.before_request(_check)
    app.after_request(_headers)


def csrf_token() -> str:
    """The token of this browser session, for forms and htmx."""
    if CSRF_FIELD not in cookie:
        cookie[CSRF_FIELD] = secrets.token_urlsafe(24)
    return str(cookie[CSRF_FIELD])


def _check() -> AnyResponse | None:
    if request.endpoint is None:
        return None  # no such route: 404 or 405 is on its way
    least = needed(request.endpoint)
    _refuse_other_sites()
    if least is None:
        raise Forbidden(f"{request.endpoint} is in no permission table, so nobody may use it.")
    if least == PUBLIC:
        return None
    try:
        g.actor = _who()
    except Unauthenticated:
        if request.blueprint == "ui" and request.method in SAFE_METHODS:
            return _to_sign_in()
        raise
    if not allows(g.actor.role, least):
        raise Forbidden(f"This needs the role {least}; {g.actor.label} is {g.actor.role}.")
    return None


def _to_sign_in() -> AnyResponse:
    """A page leads to the sign-in page; a part of a page, which htmx asks for, must not be replaced by it."""
    wanted = request.full_path.removesuffix("?")
    place = url_for("ui.login") if wanted == "/" else url_for("ui.login", back=wanted)
    if request.headers.get("HX-Request"):
        return Response(status=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": url_for("ui.login")})
    return redirect(place, HTTPStatus.SEE_OTHER)


def _refuse_other_sites() -> None:
    """Every browser says where a request came from: nobody signs a visitor in, or out, from another site."""
    if request.method not in SAFE_METHODS and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise Forbidden("This request came from another site.", hint="Use the pages of the appliance itself.")


def _who() -> Actor:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and secret:
        return _by_token(secret.strip())
    if "user" in cookie:
        _check_csrf()
        with context().database.read() as session:
            return service.by_session(session, int(cookie["user"]), int(cookie.get("epoch", 0)))
    raise Unauthenticated("This needs a token.", hint="Send Authorization: Bearer TOKEN, or sign in at /login.")


def _by_token(secret: str) -> Actor:
    with context().database.read() as session:
        found, stale = service.by_token(session, secret, now=now())
    if stale:
        with context().database.write() as session:
            service.note_token_use(session, secret, now=now())
    return found


def _check_csrf() -> None:
    """A browser sends our cookie on anybody's behalf; what changes something must prove that our page sent it."""
    if request.method in SAFE_METHODS:
        return
    sent = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(sent.encode(), str(cookie.get(CSRF_FIELD, "")).encode()) or not sent:
        raise Forbidden("This form is too old or came from another site.", hint="Load the page again.")


def _headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
