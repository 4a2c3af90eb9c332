"""What every page shares: the blueprint, assets, and how moments and spans of time are written."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from flask import Blueprint, g, request
from flask.blueprints import BlueprintSetupState
from markupsafe import Markup, escape

from pxeapp.api.context import context
from pxeapp.api.guard import csrf_token
from pxeapp.appliance import observing
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.ui import language, navigation
from pxeapp.ui.language import _

bp = Blueprint("ui", __name__)
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "pxeapp_theme"
DAY, HOUR, MINUTE = 86400, 3600, 60


@bp.record_once
def _install(state: BlueprintSetupState) -> None:
    """`_` and `ngettext` in every template, and the filters that write for a language."""
    environment = state.app.jinja_env
    environment.add_extension("jinja2.ext.i18n")
    # Newstyle: values are escaped before they come into a message, and a message is always a format.
    environment.install_gettext_callables(_unfilled, _unfilled_plural, newstyle=True)  # type: ignore[attr-defined]
    for each in (language.moment, language.day, language.number, language.percent, language.said, language.spoken):
        environment.filters[each.__name__] = each
    environment.globals["csrf_token"] = csrf_token  # macros see globals only


def _unfilled(message: str) -> str:
    found = language.words(language.language()).get(message, message)
    return found if isinstance(found, str) else found[0]


def _unfilled_plural(one: str, many: str, number: int) -> str:
    found = language.words(language.language()).get(one, one if number == 1 else many)
    return found if isinstance(found, str) else found[0 if len(found) == 1 or number == 1 else 1]


@bp.app_context_processor
def _common() -> dict[str, Any]:
    """What every template may use."""
    chosen = request.cookies.get(THEME_COOKIE, "") if request else ""
    return {
        "actor": g.get("actor"),
        "observing": _observing,
        "language": language.language(),
        "language_tag": language.TAGS[language.language()],
        "languages": language.LANGUAGES,
        "theme": chosen if chosen in THEMES else "auto",
        "navigation": navigation.entries(g.get("actor")),
    }


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
        return _("never")
    seconds = max(0, int((now() - moment).total_seconds()))
    if seconds >= DAY:
        return _("%(count)s d ago", count=seconds // DAY)
    if seconds >= HOUR:
        return _("%(count)s h ago", count=seconds // HOUR)
    if seconds >= MINUTE:
        return _("%(count)s min ago", count=seconds // MINUTE)
    return _("%(count)s s ago", count=seconds)


@bp.app_template_filter("span")
def span(length: dt.timedelta) -> str:
    """A span of time in its two largest units: 2 h 05 min, 1 min 12 s, 8 s, 0.4 s."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 1:
        return f"{seconds:.1f} {_('s')}"
    whole = int(seconds)
    units = ((DAY, _("d"), HOUR, _("h")), (HOUR, _("h"), MINUTE, _("min")), (MINUTE, _("min"), 1, _("s")))
    for size, unit, below, small in units:
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit} {rest:02d} {small}" if rest else f"{whole // size} {unit}"
    return f"{whole} {_('s')}"


@bp.app_template_filter("dashed")
def dashed(state: str) -> str:
    """A state as a class of the style sheet."""
    return state.replace(" ", "-").replace("_", "-")


@bp.app_template_filter("coded")
def coded(sentence: str) -> Markup:
    """A sentence whose commands stand between backticks, as HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped just here
