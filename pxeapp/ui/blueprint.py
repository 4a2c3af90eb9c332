"""What every page shares: the blueprint, assets, and how moments and spans of time are written."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

from flask import Blueprint, current_app, g, send_from_directory
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from pxeapp.api.context import context
from pxeapp.api.guard import csrf_token
from pxeapp.appliance import observing
from pxeapp.db import now
from pxeapp.errors import NotFound, PxeError

bp = Blueprint("ui", __name__)
ASSETS = ("static", "vendor")
DAY, HOUR, MINUTE = 86400, 3600, 60


@bp.app_context_processor
def _common() -> dict[str, Any]:
    """What every template may use."""
    return {"csrf_token": csrf_token, "actor": g.get("actor"), "observing": _observing}


def _observing() -> str:
    """What a page says while nothing is moved; the error page of a database that is away says nothing of it."""
    if not g.get("actor"):
        return ""
    try:
        with context().database.read() as session:
            held = observing.present(session)
    except PxeError:
        return ""
    return held.sentence if held else ""


@bp.app_template_filter("ago")
def ago(moment: dt.datetime | None) -> str:
    """How long ago, in the largest unit that says it."""
    if moment is None:
        return "never"
    seconds = max(0, int((now() - moment).total_seconds()))
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


@bp.app_template_filter("span")
def span(length: dt.timedelta) -> str:
    """A span of time in its two largest units: 2 h 05 min, 1 min 12 s, 8 s, 0.4 s."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 1:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, below, small in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit} {rest:02d} {small}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


@bp.app_template_filter("dashed")
def dashed(state: str) -> str:
    """A state as a class of the style sheet."""
    return state.replace(" ", "-").replace("_", "-")


@bp.app_template_filter("coded")
def coded(sentence: str) -> Markup:
    """A sentence whose commands stand between backticks, as HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped just here


@bp.get("/assets/<kind>/<path:name>")
def asset(kind: str, name: str) -> ResponseReturnValue:
    """Styles and scripts, ours and the vendored ones."""
    if kind not in ASSETS:
        raise NotFound("There is no such asset.")
    folder: Path = current_app.config["WEB_FOLDER"] / kind
    return send_from_directory(folder, name, max_age=HOUR)
