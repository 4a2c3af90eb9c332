"""Styles and scripts: those of a page as one file each, named by its content, so that a browser asks for it once.

Before its styles are there a page stays blank, and each file more is another question to a browser that has just begun.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from flask import Response, current_app, request, send_from_directory, url_for
from flask.typing import ResponseReturnValue

from pxeapp.errors import NotFound
from pxeapp.ui.blueprint import bp

ASSETS = ("static", "vendor")
TOGETHER = "page"  # the kind of an address that names several files
EVERYWHERE = {"css": ("pxeapp.css",), "js": ("htmx.min.js", "idiomorph.min.js", "pxeapp.js")}
DARK, BY_THE_SYSTEM = "dark.css", "dark-by-the-system.css"  # the second one is the first, where a system is dark
FILE = re.compile(r"[a-z0-9][a-z0-9.-]*\.(?:css|js)")
MEDIA_TYPES = {"css": "text/css", "js": "text/javascript"}
MOST = 10
HOUR, YEAR = 3600, 365 * 86400
TAG_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """Some files as one."""

    kind: str
    body: bytes = field(repr=False)
    packed: bytes = field(repr=False)
    tag: str


@bp.app_template_global()
def styles(wanted: str = "", theme: str = "auto") -> str:
    """The address of a page's style sheet: ours, those whose names the page says, and the dark one by its theme."""
    dark = {"auto": (BY_THE_SYSTEM,), "dark": (DARK,)}.get(theme, ())
    return _address(dict.fromkeys((*EVERYWHERE["css"], *FILE.findall(wanted), *dark)))


@bp.app_template_global()
def scripts() -> str:
    """The address of what every page runs."""
    return _address(dict.fromkeys(EVERYWHERE["js"]))


@bp.get("/assets/<kind>/<path:name>")
def asset(kind: str, name: str) -> ResponseReturnValue:
    """Styles and scripts, ours and the vendored ones."""
    if kind == TOGETHER:
        return _together(name.split("+"))
    if kind not in ASSETS:
        raise NotFound("There is no such asset.")
    return send_from_directory(_folder() / kind, name, max_age=HOUR)


def _together(names: list[str]) -> Response:
    found = _found(tuple(names))
    answer = Response(found.body, mimetype=MEDIA_TYPES[found.kind])
    answer.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] > 0:
        answer.set_data(found.packed)
        answer.content_encoding = "gzip"
    answer.cache_control.public = True
    # An address with another tag was made by another version of us: its answer must not stay under that name.
    answer.cache_control.max_age = YEAR if request.args.get("v") == found.tag else HOUR
    answer.cache_control.immutable = request.args.get("v") == found.tag
    answer.set_etag(found.tag)
    answer.make_conditional(request)
    return answer


def _address(names: dict[str, None]) -> str:
    there = tuple(
        name for name in names if _places(name)
    )  # a checkout without the vendored ones has pages all the same
    return url_for("ui.asset", kind=TOGETHER, name="+".join(there), v=_found(there).tag)


def _found(names: tuple[str, ...]) -> Asset:
    if len(names) > MOST or not all(map(FILE.fullmatch, names)) or len({_kind(name) for name in names}) != 1:
        raise NotFound("There is no such asset.")
    places = tuple(place for name in names for place in _places(name))
    if len(places) != len(names):
        raise NotFound("There is no such asset.")
    return _made(names, places, tuple(place.stat().st_mtime_ns for place in places))


def _places(name: str) -> list[Path]:
    """Where a file lies; nowhere if there is none of that name."""
    shown = DARK if name == BY_THE_SYSTEM else name
    return [place for kind in ASSETS if (place := _folder() / kind / shown).is_file()][:1]


@lru_cache(maxsize=64)
def _made(names: tuple[str, ...], places: tuple[Path, ...], _changed: tuple[int, ...]) -> Asset:
    parts = [_text(name, place) for name, place in zip(names, places, strict=True)]
    body = "\n".join(parts).encode()
    # A time of its own in the packed form would make it another one on each host.
    return Asset(_kind(names[0]), body, gzip.compress(body, mtime=0), hashlib.sha256(body).hexdigest()[:TAG_LENGTH])


def _text(name: str, place: Path) -> str:
    text = place.read_text()
    if name == BY_THE_SYSTEM:
        return f"@media (prefers-color-scheme: dark) {{\n{text}}}\n"
    return text


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _folder() -> Path:
    found: Path = current_app.config["WEB_FOLDER"]
    return found
