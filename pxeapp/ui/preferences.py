"""What a visitor likes: language and theme, kept in cookies, so that the sign-in page has them too."""

from __future__ import annotations

from http import HTTPStatus

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from pxeapp.api.places import came_from
from pxeapp.ui import language
from pxeapp.ui.blueprint import THEME_COOKIE, THEMES, bp

KEPT_S = 365 * 86400
CHOICES = {"language": (language.COOKIE, tuple(language.LANGUAGES)), "theme": (THEME_COOKIE, THEMES)}


@bp.post("/preferences")
def prefer() -> ResponseReturnValue:
    """Keep a choice, and go back to where it was made. What is no choice of ours is not kept."""
    answer = redirect(came_from() or url_for("ui.index"), HTTPStatus.SEE_OTHER)
    for name, (cookie, possible) in CHOICES.items():
        chosen = request.form.get(name, "")
        if chosen in possible:
            answer.set_cookie(cookie, chosen, max_age=KEPT_S, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer
