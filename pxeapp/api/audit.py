"""`/audit`: who did what, and who was refused; for administrators."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pxeapp.api.context import context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.audit import AuditRow, export, search
from pxeapp.audit.search import Narrowed
from pxeapp.errors import NotFound

bp = APIBlueprint("audit", __name__, url_prefix="/api/v1", tag="Audit")
Said = Annotated[str, Field(max_length=200)]


class AuditFilter(BaseModel):
    """Narrow the list; an `action` may end in `*`."""

    actor: Said = ""
    subject: Said = ""
    action: Said = ""
    outcome: Literal["", "done", "refused"] = ""
    address: Said = ""
    request_id: Said = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def narrowed(self) -> Narrowed:
        """In our words."""
        return Narrowed(**{name: getattr(self, name) for name in AuditFilter.model_fields})


class AuditQuery(AuditFilter, PageQuery):
    """The same, page by page."""

    order: Literal["oldest", "newest"] = "oldest"


class ExportQuery(AuditFilter):
    """The same as a file."""

    format: Literal["csv", "json", "jsonl"] = "jsonl"


class AuditOut(BaseModel):
    """Who did what, and when."""

    model_config = ConfigDict(extra="allow")
    id: int
    at: str
    actor: str
    action: str
    subject: str
    outcome: Literal["done", "refused"]
    address: str
    request_id: str
    before: Any
    after: Any
    details: dict[str, Any]
    number: int | None
    hash: str


@bp.get("/audit")
@bp.input(AuditQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: AuditQuery) -> dict[str, Any]:
    """Who did what, oldest first"""
    with context().database.read() as session:
        rows = search.page(
            session,
            query.narrowed(),
            after=query.after_id,
            limit=query.limit + 1,
            newest_first=query.order == "newest",
        )
        return page(rows, query.limit, search.shown, lambda row: row.id)


@bp.get("/audit/<int:number>")
def show(number: int) -> dict[str, Any]:
    """One row"""
    with context().database.read() as session:
        row = session.get(AuditRow, number)
        if row is None:
            raise NotFound(f"There is no row {number} in the audit.")
        return search.shown(row)


@bp.get("/audit/export", endpoint="export")
@bp.input(ExportQuery, location="query", arg_name="query")
@bp.doc(description="Streamed: a million rows need no more memory than one.")
def export_file(query: ExportQuery) -> Response:
    """The audit as a file: CSV, JSON or JSON lines"""
    own = context()
    return Response(
        export.text(own.database, query.narrowed(), query.format),
        content_type=export.MEDIA[query.format],
        headers={"Content-Disposition": f"attachment; filename=audit.{query.format}"},
    )
