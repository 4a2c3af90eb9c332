"""ETags and If-Match: of two who change the same thing at once, the second is told so (412).

A machine's ETag is its version, which every change counts up. What has no version of its own (roles, networks,
releases) is told apart by the hash of what the API shows of it.
"""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request

from pxeapp.api import fields
from pxeapp.api.context import context
from pxeapp.errors import FieldProblem, Invalid, PreconditionFailed, PreconditionRequired


def of(shown: dict[str, Any]) -> str:
    """The ETag of what the API shows of something."""
    if "version" in shown and isinstance(shown["version"], int):
        return str(shown["version"])
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:20]


def answer(shown: dict[str, Any], status: int = HTTPStatus.OK, **more: Any) -> Response:
    """The answer with its ETag; 304 to a GET whose If-None-Match has it. `more` is said once and is no part of it."""
    response = moving(shown, status, **more)
    if request.method in ("GET", "HEAD"):
        response.make_conditional(request)
    return response


def moving(shown: dict[str, Any], status: int = HTTPStatus.OK, **more: Any) -> Response:
    """The same for what goes on while its version stays: never a 304."""
    response = jsonify({**fields.chosen(shown), **more})
    response.status_code = status
    response.set_etag(of(shown))
    return response


def check(shown: dict[str, Any]) -> None:
    """Raises PreconditionFailed when If-Match was sent and names another version than this one.

    Raises PreconditionRequired where the site insists on If-Match and none was sent.
    """
    if request.if_none_match.star_tag:
        raise PreconditionFailed("It is there already; nothing was changed.", hint="Leave If-None-Match out.")
    tags = request.if_match
    if not tags and context().settings.require_if_match:
        raise PreconditionRequired(
            "This site changes nothing blindly: the request has no If-Match.",
            hint=f'Read it, and send its ETag: If-Match: "{of(shown)}". If-Match: * changes whatever is there.',
        )
    if not tags or tags.star_tag:
        return
    if not tags.as_set():
        fix = 'Send the ETag as you got it, with its quotes: If-Match: "3".'
        raise Invalid("If-Match is not one of our ETags.", problems=[FieldProblem("If-Match", str(tags), fix)])
    if of(shown) not in tags:
        raise PreconditionFailed("It was changed meanwhile; nothing was changed now.", hint="Read it again.")


def check_seen(shown: dict[str, Any], tag: str) -> None:
    """Raises PreconditionFailed when a form was filled in from another version than this one."""
    if of(shown) != tag:
        raise PreconditionFailed("It was changed meanwhile; nothing was changed now.", hint="Read it again.")


def check_new() -> None:
    """Before a PUT creates: whoever names a version meant one that was there."""
    if request.if_match:
        raise PreconditionFailed(
            "It is not there, so it has no version; nothing was created.", hint="Leave If-Match out to create it."
        )
