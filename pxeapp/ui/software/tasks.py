"""What the software worker is at, what it did, and how much room its files take."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import verdict
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import Forbidden, NotFound, PxeError
from pxeapp.software.content import garbage
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.tasks import service
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import in_full

PAGE = 50


@bp.get("/software")
def software() -> ResponseReturnValue:
    """Tasks, the latest first."""
    return page()


@bp.get("/software/part")
def software_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_tasks.html", **_list())


@bp.post("/software/tasks/<int:number>/<name>")
def control_task(number: int, name: str) -> ResponseReturnValue:
    """One of VERBS, for whoever may ask the same of the API."""
    if name not in VERBS:
        raise NotFound("There is no such page.")
    if refused := verdict(actor(), f"tasks.{name}", "POST"):
        raise Forbidden(refused)
    return _act(lambda session: VERBS[name](session, number))


@bp.post("/software/clean")
def clean_software() -> ResponseReturnValue:
    """Remove what nothing holds any more."""
    options = {"grace_s": garbage.GRACE_S}
    return _act(
        lambda session: service.order(
            session, "software.clean", "store", options, actor=actor().label, now=now()
        )
    )  # fmt: skip


def page(*, problem: str = "") -> str:
    """The whole page; after something that was refused, with the reason."""
    return render_template("software/tasks.html", problem=problem, **_list())


def _cancel(session: Session, number: int) -> SoftwareTask:
    return service.cancel(session, number, actor=actor().label, now=now())


def _retry(session: Session, number: int) -> SoftwareTask:
    return service.retry(session, number, actor=actor().label, now=now())


VERBS: dict[str, Callable[[Session, int], SoftwareTask]] = {"cancel": _cancel, "retry": _retry}


def _act(do: Callable[[Session], SoftwareTask]) -> ResponseReturnValue:
    try:
        with context().database.write() as session:
            do(session)
    except PxeError as error:
        return page(problem=in_full(error)), error.status
    return redirect(url_for("ui.software"), HTTPStatus.SEE_OTHER)


def _list() -> dict[str, Any]:
    before = row_number(request.args.get("before", ""))
    with context().database.read() as session:
        rows = service.listing(session, before=before, limit=PAGE + 1)
    disk = shutil.disk_usage(context().settings.data_dir)
    return {
        "before": before,
        "tasks": [task_line(row) for row in rows[:PAGE]],
        "next": rows[PAGE - 1].id if len(rows) > PAGE else None,
        "free": size_shown(disk.free),
        "disk": size_shown(disk.total),
        "may_cancel": not verdict(actor(), "tasks.cancel", "POST"),
        "may_retry": not verdict(actor(), "tasks.retry", "POST"),
        "may_clean": not verdict(actor(), "tasks.clean", "POST"),
    }


def task_line(row: SoftwareTask) -> dict[str, Any]:
    """A task as pages show it: `software/_task.html` draws its progress."""
    found = service.wire(row)
    if found["unit"] == "bytes":
        amount = f"{size_shown(row.done)} / {size_shown(row.total)}" if row.total else size_shown(row.done)
    else:
        amount = f"{row.done} / {row.total}" if row.total else str(row.done or "")
    return {**found, "amount": amount, "at": row.finished_at or row.started_at or row.requested_at}
