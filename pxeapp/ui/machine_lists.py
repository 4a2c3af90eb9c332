"""What is kept of lists of machines: the columns that somebody chose, saved filters; and a list as a file."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pxeapp.accounts import choices
from pxeapp.api.context import actor, context
from pxeapp.api.lists import csv_answer
from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid
from pxeapp.machines import columns, saved_filters
from pxeapp.machines.selectors import Filter
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field
from pxeapp.ui.language import said
from pxeapp.ui.machines import COLUMN_CHOICE, DOING, asked, list_view


@bp.get("/machines.csv")
def machines_csv() -> ResponseReturnValue:
    """The list with its columns, all pages of it."""
    wanted = asked()
    names = [name for name in wanted.columns.split(",") if name and name != DOING]
    return csv_answer(Filter(q=wanted.q), ["name", *names] if names else list(columns.EXPORTED), wanted.sort or "name")


@bp.post("/machines/columns")
def choose_columns() -> ResponseReturnValue:
    """Keep which columns somebody wants to see, and show the list with them."""
    labels = [label.strip() for label in request.form.get("labels", "")[:500].split(",")]
    said = [*request.form.getlist("column"), *(f"labels.{label}" for label in labels if label)]
    names = [name for name in dict.fromkeys(said) if name == DOING or columns.column(name) is not None]
    with context().database.write() as session:
        choices.put(session, actor(), COLUMN_CHOICE, names[: columns.MOST])
    return _back()


@bp.post("/machines/filters")
def save_filter() -> ResponseReturnValue:
    """Keep the list under a name."""
    form = request.form
    shown = [name for name in form.get("columns", "").split(",") if name and name != DOING]
    try:
        with context().database.write() as session:
            saved_filters.save(
                session, actor(), form.get("name", "").strip(),
                text=form.get("q", ""), shared=bool(form.get("shared")), sort=form.get("sort", ""), columns=shown,
                now=now(),
            )  # fmt: skip
    except (Invalid, Conflict) as error:
        told = " ".join(by_field(error).values()) or said(error.sentence)
        return render_template("machines.html", save_problem=told, **list_view(whole=True)), 422
    return _back()


@bp.post("/machines/filters/delete")
def delete_filter() -> ResponseReturnValue:
    """Forget a saved filter."""
    with context().database.write() as session:
        shared = bool(request.form.get("shared"))
        saved_filters.delete(session, actor(), request.form.get("name", ""), shared=shared, now=now())
    return _back()


def _back() -> ResponseReturnValue:
    """To the list that the form stood on."""
    kept: dict[str, Any] = {name: value for name in ("q", "sort") if (value := request.form.get(name, ""))}
    return redirect(url_for("ui.machines", **kept), 303)
