"""The audit: who did what and who was refused, narrowed, with what was there before and after."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from pxeapp.api.context import context
from pxeapp.api.paging import row_number
from pxeapp.audit import search
from pxeapp.audit.models import AuditRow
from pxeapp.audit.search import Narrowed
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field

PAGE = 100
TEXTS = ("actor", "subject", "action", "outcome", "address", "request_id")
TIMES = ("since", "until")


@bp.get("/audit")
def audit() -> ResponseReturnValue:
    """The page."""
    said = {name: request.args.get(name, "").strip()[:200] for name in (*TEXTS, *TIMES)}
    start = row_number(request.args.get("after", ""))
    query = {name: value for name, value in said.items() if value}
    try:
        narrowed, moments = _narrowed(said)
        with context().database.read() as session:
            rows = search.page(session, narrowed, after=start, limit=PAGE + 1, newest_first=True)
    except PxeError as error:
        view = {"rows": [], "next": 0, "said": said, "query": query, "errors": by_field(error), "differences": {}}
        return render_template("audit.html", problem=str(error), exported={}, **view), error.status
    return render_template(
        "audit.html",
        rows=rows[:PAGE],
        next=rows[PAGE - 1].id if len(rows) > PAGE else 0,
        said=said,
        query=query,
        exported={**query, **moments},
        errors={},
        differences={row.id: differences(row) for row in rows[:PAGE]},
    )


def differences(row: AuditRow) -> list[tuple[str, str, str]]:
    """Each field that changed, with what it was and what it is."""
    before, after = row.before, row.after
    if not isinstance(before, dict) and not isinstance(after, dict):
        return [("", _plain(before), _plain(after))] if before is not None or after is not None else []
    was = before if isinstance(before, dict) else {}
    became = after if isinstance(after, dict) else {}
    return [(name, _plain(was.get(name)), _plain(became.get(name))) for name in {**was, **became}]


def _narrowed(said: dict[str, str]) -> tuple[Narrowed, dict[str, str]]:
    moments = {name: _moment(name, said[name]) for name in TIMES}
    if said["outcome"] not in ("", "done", "refused"):
        raise Invalid("The audit cannot be narrowed.", problems=[FieldProblem("outcome", "is not known.", "")])
    texts: dict[str, Any] = {name: said[name] for name in TEXTS}
    narrowed = Narrowed(**texts, since=moments["since"], until=moments["until"])
    return narrowed, {name: at.isoformat() for name, at in moments.items() if at}


def _moment(name: str, said: str) -> dt.datetime | None:
    try:
        return search.moment(said)
    except ValueError:
        problem = FieldProblem(name, "is no moment.", "Write 2026-11-25 or 2026-11-25T23:00, in UTC.")
        raise Invalid("The audit cannot be narrowed.", problems=[problem]) from None


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
