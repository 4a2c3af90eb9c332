"""`/machines.csv`, `/filters`: a list of machines as a file, and lists that somebody comes back to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response, stream_with_context
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, part
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.machines import columns as known_columns
from pxeapp.machines import export, saved_filters, selectors
from pxeapp.machines.columns import MOST as MOST_COLUMNS
from pxeapp.machines.query import LONGEST
from pxeapp.machines.selectors import Filter

bp = APIBlueprint("lists", __name__, url_prefix="/api/v1", tag="Machines")


class ExportQuery(BaseModel):
    """Which machines, in which order, and what of them."""

    q: Annotated[str, Field(description="A query, as in the list of machines.", max_length=LONGEST)] = ""
    sort: str = "name"
    columns: Annotated[str, Field(description="Names with commas between them.", max_length=2000)] = ""


class SharedQuery(BaseModel):
    """`shared=1`: the one that all see."""

    shared: bool = False


class FilterIn(BaseModel):
    """A list of machines to come back to."""

    model_config = ConfigDict(extra="forbid")
    query: Annotated[str, Field(max_length=LONGEST)]
    sort: str = ""
    columns: Annotated[list[str], Field(max_length=MOST_COLUMNS)] = []
    shared: bool = False


class FilterOut(BaseModel):
    """As it is kept, the query in its one spelling."""

    name: str
    shared: bool
    query: str
    sort: str
    columns: list[str]
    saved_by: str
    updated_at: str


@bp.get("/machines.csv")
@bp.input(ExportQuery, location="query", arg_name="query")
@bp.doc(description="No cell begins as a formula does: what would be run by a spreadsheet has an apostrophe before it.")
def machines_csv(query: ExportQuery) -> Response:
    """Machines as CSV, as many as there are"""
    names = [name for name in query.columns.split(",") if name]
    return csv_answer(Filter(q=query.q), names or list(known_columns.EXPORTED), query.sort)


def csv_answer(narrowed: Filter, names: list[str], sort: str) -> Response:
    """The file, written while it is sent; what is wrong with the request is said before the first line."""
    shown = known_columns.chosen(names)
    with context().database.read() as session:
        selectors.page(session, narrowed, limit=1, sort=sort)  # raises for what cannot be understood
    database = context().database

    def written() -> Iterator[str]:
        with database.read() as session:
            yield from export.lines(session, narrowed, shown, sort=sort)

    answer = Response(stream_with_context(written()), mimetype="text/csv")
    answer.headers["Content-Disposition"] = 'attachment; filename="machines.csv"'
    return answer


@bp.get("/filters")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """Saved filters: your own, then the shared ones"""
    with context().database.read() as session:
        shown = [saved_filters.wire(row) for row in saved_filters.listing(session, actor())]
    return part(shown, query, lambda each: ("shared " if each["shared"] else "own ") + each["name"])


@bp.put("/filters/<name>")
@bp.input(FilterIn, arg_name="said")
@bp.output(FilterOut)
def save(name: str, said: FilterIn) -> Response:
    """Save a filter under this name; shared ones need the role operator"""
    with context().database.write() as session:
        try:
            _check(session, name, shared=said.shared)
        except NotFound:
            etags.check_new()
        row = saved_filters.save(
            session, actor(), name,
            text=said.query, shared=said.shared, sort=said.sort, columns=said.columns, now=now(),
        )  # fmt: skip
        return etags.answer(saved_filters.wire(row))


@bp.delete("/filters/<name>")
@bp.input(SharedQuery, location="query", arg_name="query")
@bp.output({}, status_code=204)
def delete(name: str, query: SharedQuery) -> str:
    """Forget a saved filter"""
    with context().database.write() as session:
        _check(session, name, shared=query.shared)
        saved_filters.delete(session, actor(), name, shared=query.shared, now=now())
    return ""


def _check(session: Session, name: str, *, shared: bool) -> None:
    """If-Match, against the filter as it is kept; raises NotFound."""
    etags.check(saved_filters.wire(saved_filters.get(session, actor(), name, shared=shared, lock=True)))
