"""Where somebody is led after signing in: to where they were, and never to another site."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

LONGEST = 500


def path_of_ours(place: str) -> str:
    """The place if it is a path of ours; an empty text for everything else."""
    plain = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable() and "\\" not in place
    return place[:LONGEST] if plain else ""


def came_from(header: str = "Referer") -> str:
    """The page that a request was sent from, if it is one of ours; htmx names it in a header of its own."""
    try:
        came = urlsplit(request.headers.get(header, ""))
    except ValueError:  # http://[ and the like, which no browser sends
        return ""
    place = came.path + (f"?{came.query}" if came.query else "")
    return path_of_ours(place) if came.netloc == request.host else ""
