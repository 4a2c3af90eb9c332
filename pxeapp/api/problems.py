"""Errors as RFC 9457 problem+json, or as a page for a browser. Their class decided the status; this is their form."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, g, jsonify, render_template, request
from pydantic import ValidationError
from sqlalchemy.exc import DataError, IntegrityError
from werkzeug.exceptions import HTTPException

from pxeapp.errors import RETRY_AFTER_S, FieldProblem, Invalid, PxeError, TooMany

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# Where werkzeug's own sentences tell less, or speak to somebody who typed an address by hand.
SENTENCES = {
    HTTPStatus.NOT_FOUND: "There is nothing at {path}.",
    HTTPStatus.METHOD_NOT_ALLOWED: "{method} is not possible at {path}.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too long for {path}.",
}
FIXES = {
    HTTPStatus.NOT_FOUND: "See /api/v1/openapi.json for what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "See the Allow header for what is possible here.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Send it in smaller parts.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Send JSON, and say so: Content-Type: application/json.",
    HTTPStatus.BAD_REQUEST: "Send a JSON object.",
}


def install(app: APIFlask) -> None:
    """One handler per family of errors."""
    app.register_error_handler(PxeError, _ours)
    app.register_error_handler(IntegrityError, _integrity)
    app.register_error_handler(DataError, _data)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _bug)
    app.error_callback = _validation  # error_processor() would also take all of werkzeug's errors away from _http


def problem(status: int, title: str, detail: str, **more: Any) -> tuple[Response, int]:
    """A problem document; where a browser waits for a page, a page that says the same."""
    g.problem = detail  # for the audit, see refusals.py
    if _is_for_a_page():
        hint = more.get("hint", "")
        page = render_template("error.html", title=title, detail=detail, hint="" if hint in FIXES.values() else hint)
        return Response(page), int(status)
    body = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    body.update({key: value for key, value in more.items() if value})
    response = jsonify(body)
    response.mimetype = MEDIA_TYPE
    return response, int(status)


def _is_for_a_page() -> bool:
    wanted = request.accept_mimetypes.best_match([MEDIA_TYPE, "application/json", "text/html"])
    return wanted == "text/html" and not request.path.startswith("/api/")


def of(error: PxeError) -> Response:
    """The answer for an error that nobody raised to Flask."""
    response, status = _ours(error)
    response.status_code = status
    return response


def _ours(error: PxeError) -> tuple[Response, int]:
    errors = error.as_list() if isinstance(error, Invalid) else None
    response, status = problem(error.status, error.title, error.sentence, hint=error.hint, errors=errors)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.error("%s %s was refused: %s", request.method, request.path, error)
        response.headers["Retry-After"] = RETRY_AFTER_S
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.after_s)
    elif error.retryable and status in (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS):
        response.headers["Retry-After"] = "1"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response, status


def _integrity(_error: IntegrityError) -> tuple[Response, int]:
    """Somebody took the same name or MAC between our check and our commit."""
    return problem(HTTPStatus.CONFLICT, "Conflict", "A name, MAC or address was taken meanwhile; nothing was changed.")


def _data(_error: DataError) -> tuple[Response, int]:
    """PostgreSQL is stricter than SQLite: no NUL in a text, no number beyond its column."""
    detail = "A value is too long, too large, or holds a character that cannot be kept; nothing was changed."
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid input", detail)


def _http(error: HTTPException) -> tuple[Response, int]:
    status = HTTPStatus(error.code or 500)
    ours = SENTENCES.get(status, "").format(method=request.method, path=request.path)
    detail = ours or error.description or status.phrase
    response, code = problem(status, status.phrase, detail, hint=FIXES.get(status, ""))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response, code


def _bug(error: Exception) -> tuple[Response, int]:
    log.exception("Unexpected error at %s %s", request.method, request.path, exc_info=error)
    return problem(500, "Internal error", "Something went wrong on our side; it is in the log.")


def _validation(error: HTTPError) -> Any:
    """APIFlask's own error: what pydantic found wrong, in our words."""
    from pxeapp.machines import wire  # cost: what has no error needs no words for it

    cause = error.__cause__
    found = wire.problems(cause) if isinstance(cause, ValidationError) else []
    return _ours(Invalid("The request has errors; nothing was changed.", problems=[_named(each) for each in found]))


def _named(found: FieldProblem) -> FieldProblem:
    """What is wrong with the body as a whole has no field."""
    if found.field != "machine":
        return found
    return FieldProblem("body", found.problem, "Send a JSON object.")
