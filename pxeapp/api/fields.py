"""Field selection: `?fields=name,state` answers with these fields only, of one thing as of each thing in a list."""

from __future__ import annotations

from typing import Any

from flask import has_request_context, request

from pxeapp.errors import FieldProblem, Invalid

PARAMETER = "fields"
MOST = 60


def chosen(shown: dict[str, Any]) -> dict[str, Any]:
    """What was asked for; all of it where nothing was. Raises Invalid for a field that there is not."""
    names = _asked()
    if not names:
        return shown
    unknown = [name for name in names if name not in shown]
    if unknown:
        fix = f"It has: {', '.join(shown)}."
        raise Invalid(
            "There is no such field.",
            problems=[FieldProblem(PARAMETER, f"{name[:40]!r} is not a field.", fix) for name in unknown[:MOST]],
        )
    return {name: shown[name] for name in names}


def _asked() -> list[str]:
    if not has_request_context() or request.method not in ("GET", "HEAD") or not request.path.startswith("/api/"):
        return []
    return list(dict.fromkeys(filter(None, (name.strip() for name in request.args.get(PARAMETER, "").split(",")))))
