"""What comes in, before anything is parsed: how long it may be, and what JSON may hold."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Request, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from pxeapp.machines.readers import MAX_BYTES
from pxeapp.software.content.uploads import MOST_PIECE

MAX_BODY = 1024 * 1024
# Bodies that may be longer than the rest, by endpoint.
LONGER = {
    "ui.check_import": MAX_BYTES, "ui.run_import": 2 * MAX_BYTES, "templates.save": 2**22, "ui.edit_template": 2**22,
    "machines.imports": MAX_BYTES, "uploads.put": MOST_PIECE,
}  # fmt: skip


class JsonRequest(Request):
    """A request whose JSON is labelled as JSON; no body is an empty object, so that `POST .../deploy` needs none."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002 - werkzeug's signature
        """The parsed body; raises 400 with the place where it is broken, or 415."""
        if not self.get_data():
            return {}
        if not self.is_json:
            raise UnsupportedMediaType(f"The body is {self.mimetype or 'of no type'}, not application/json.")
        try:
            return super().get_json(silent=silent, cache=cache)
        except RecursionError:
            raise BadRequest("The body is nested too deeply.") from None

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        """Say where the JSON is broken; werkzeug says so only in debug mode."""
        where = f"line {e.lineno}, column {e.colno}: {e.msg}" if isinstance(e, json.JSONDecodeError) else str(e)
        raise BadRequest(f"The body is not JSON: {where}.")


class StrictJson(DefaultJSONProvider):
    """JSON as RFC 8259 and every database have it: no NaN, no NUL, no half of a surrogate pair."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse; raises ValueError for what could not be given back or kept."""
        value = super().loads(s, parse_constant=_no_constant, **kwargs)
        _check_texts(value)
        return value


def install(app: Flask) -> None:
    """Limits first: they hold before any handler touches the body."""
    app.request_class = JsonRequest
    app.json = StrictJson(app)
    app.before_request(_limit)


def _limit() -> None:
    request.max_content_length = LONGER.get(request.endpoint or "", MAX_BODY)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a surrogate pair") from None
        if "\0" in value:
            raise ValueError("a text holds a NUL character")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
