"""The form by which tokens are made, on one's own page and on that of administrators."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from werkzeug.datastructures import MultiDict

from pxeapp.accounts import tokens
from pxeapp.api.paging import row_number
from pxeapp.errors import FieldProblem, Invalid

MOST_DAYS = 3650


def read(form: MultiDict[str, str], now: dt.datetime) -> dict[str, Any]:
    """What create_token takes; raises Invalid."""
    expires = _expires(form.get("days", "").strip(), now)
    tokens.refuse_past(expires, now)
    return {
        "name": form.get("name", "").strip(),
        "role": form.get("role", ""),
        "projects": projects(form),
        "read_only": bool(form.get("read_only")),
        "expires_at": expires,
    }


def projects(form: MultiDict[str, str]) -> list[str] | None:
    """Names with commas or spaces between; nothing at all: not limited."""
    said = [each for each in re.split(r"[\s,]+", form.get("projects", "")) if each]
    return said or None


def _expires(days: str, now: dt.datetime) -> dt.datetime | None:
    if not days:
        return None
    number = row_number(days, most=MOST_DAYS + 1)
    if not 0 < number <= MOST_DAYS:
        problem = FieldProblem("days", "is no number of days.", f"Write 1 to {MOST_DAYS}, or leave it empty.")
        raise Invalid("The token cannot be made.", problems=[problem])
    return now + dt.timedelta(days=number)
