"""Media: what was imported, what vouches for it, and the form that imports another."""

from __future__ import annotations

from dataclasses import fields
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pxeapp.accounts.permissions import verdict
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.isos import orders, service
from pxeapp.software.isos.models import SoftwareMedium
from pxeapp.software.isos.orders import Wanted
from pxeapp.software.tasks import service as tasks
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field, in_full
from pxeapp.ui.software.tasks import task_line

PAGE = 50
TEXTS = tuple(field.name for field in fields(Wanted) if field.type == "str")
CHECKS = ("replace", "hwe")


@bp.get("/software/media")
def media() -> ResponseReturnValue:
    """Media, and the imports that go on."""
    return _page({})


@bp.get("/software/media/part")
def media_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_media.html", **_list())


@bp.post("/software/media")
def import_medium() -> ResponseReturnValue:
    """Order an import; with JavaScript the file has been uploaded by now."""
    form = {name: request.form.get(name, "").strip() for name in TEXTS}
    checks: dict[str, Any] = {name: bool(request.form.get(name)) for name in CHECKS}
    checks["make_release"] = bool(request.form.get("make_release"))
    wanted = Wanted(**{**form, "sha256": form["sha256"].lower(), **checks})
    try:
        with context().database.write() as session:
            orders.order(session, context().settings, wanted, actor=actor().label, now=now())
    except PxeError as error:
        return _page({**form, **checks}, problem=in_full(error), errors=by_field(error)), error.status
    return redirect(url_for("ui.media"), HTTPStatus.SEE_OTHER)


@bp.get("/software/media/<name>")
def medium(name: str) -> ResponseReturnValue:
    """One medium."""
    return _one(name)


@bp.post("/software/media/<name>/delete")
def delete_medium(name: str) -> ResponseReturnValue:
    """Serve it no more."""
    try:
        service.delete(context().database, context().settings, name, actor=actor().label, now=now())
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return _one(name, problem=in_full(error)), error.status
    return redirect(url_for("ui.media"), HTTPStatus.SEE_OTHER)


def _page(form: dict[str, Any], *, problem: str = "", errors: dict[str, str] | None = None) -> str:
    return render_template(
        "software/media.html", problem=problem, errors=errors or {}, form={"make_release": True, **form}, **_list()
    )


def _list() -> dict[str, Any]:
    after = request.args.get("after", "")
    with context().database.read() as session:
        rows = service.listing(session, after=after, limit=PAGE + 1)
        going = [*tasks.listing(session, limit=10, running=True, kind=orders.KIND)]
        last = tasks.listing(session, limit=1, running=False, kind=orders.KIND)
        return {
            "after": after,
            "next": rows[PAGE - 1].name if len(rows) > PAGE else "",
            "media": [{**_line(row), "releases": service.used_by(session, row.name)} for row in rows[:PAGE]],
            "imports": [task_line(row) for row in [*going, *(row for row in last if row.outcome == tasks.FAILED)]],
            "may_import": not verdict(actor(), "media.create", "POST"),
        }


def _line(row: SoftwareMedium) -> dict[str, Any]:
    return {
        **service.wire(row),
        "size": size_shown(row.bytes),
        "right": sum(check["verified"] for check in row.checks),
        "at": row.updated_at,
    }


def _one(name: str, *, problem: str = "") -> str:
    with context().database.read() as session:
        row = service.get(session, name)
        found = {**_line(row), "releases": service.used_by(session, name), "url": service.url(name)}
    return render_template(
        "software/medium.html", medium=found, problem=problem, iso_size=size_shown(row.iso_bytes),
        may_delete=not verdict(actor(), "media.delete", "DELETE"),
    )  # fmt: skip
