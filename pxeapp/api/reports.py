"""`/reports`: what happened over a period, as JSON or CSV."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.orm import Session

from pxeapp import csv_text
from pxeapp.api.context import context
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.provisioning import reports
from pxeapp.provisioning.reports import Period

bp = APIBlueprint("reports", __name__, url_prefix="/api/v1", tag="Reports")
LONGEST_DAYS = 3660
COLUMNS: dict[str, tuple[str, ...]] = {
    "durations": ("release", "step", "count", "median_s", "p90_s", "longest_s"),
    "success": ("day", "succeeded", "failed", "aborted", "rate"),
    "failures": ("cause", "count", "share", "machines", "last_at", "last_deployment"),
    "repairs": ("machine", "release", "failed_at", "repaired_at", "failures", "took_s"),
    "inventory": ("by", "what", "machines", "active", "available", "failed", "bytes"),
}


class ReportQuery(BaseModel):
    """The period, by days before now or by its ends; and of which release and role."""

    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = 30
    since: Annotated[AwareDatetime | None, Field(description="In place of days; as 2026-01-31T00:00:00Z.")] = None
    until: Annotated[AwareDatetime | None, Field(description="Now, if it is left out.")] = None
    release: Annotated[str, Field(max_length=63)] = ""
    role: Annotated[str, Field(max_length=63)] = ""
    format: Literal["json", "csv"] = "json"

    def period(self, moment: dt.datetime) -> Period:
        """In our words; raises Invalid for one that ends before it begins, or for a text that no database takes."""
        until = self.until or moment
        try:
            since = self.since or until - dt.timedelta(days=self.days)
            since, until = since.astimezone(dt.UTC), until.astimezone(dt.UTC)
        except (OverflowError, ValueError):
            since = until
        wrong = [
            FieldProblem(name, "is no text.", "Take the NUL out.")
            for name in ("release", "role")
            if "\0" in getattr(self, name)
        ]
        if since >= until:
            wrong.append(FieldProblem("since", "is not before the end.", "Give an earlier moment, or more days."))
        if wrong:
            raise Invalid("There is no such period.", problems=wrong)
        return Period(since, until, self.release, self.role)


class InventoryQuery(BaseModel):
    """As JSON or CSV."""

    format: Literal["json", "csv"] = "json"


class Report(BaseModel):
    """A report: its rows, and the numbers that stand for all of them."""

    items: list[dict[str, Any]]
    next: str | None = None


@bp.get("/reports/durations")
@bp.input(ReportQuery, location="query", arg_name="query")
@bp.output(Report)
def durations(query: ReportQuery) -> Response:
    """How long each step takes, by release: median and 90th percentile of what succeeded"""
    return _answer("durations", query, reports.durations)


@bp.get("/reports/success")
@bp.input(ReportQuery, location="query", arg_name="query")
@bp.output(Report)
def success(query: ReportQuery) -> Response:
    """Deployments day by day: succeeded, failed, aborted"""
    return _answer("success", query, reports.success)


@bp.get("/reports/failures")
@bp.input(ReportQuery, location="query", arg_name="query")
@bp.output(Report)
def failures(query: ReportQuery) -> Response:
    """Why deployments failed, the most frequent cause first"""
    return _answer("failures", query, reports.failures)


@bp.get("/reports/repairs")
@bp.input(ReportQuery, location="query", arg_name="query")
@bp.output(Report)
def repairs(query: ReportQuery) -> Response:
    """How long machines whose deployment failed took until one succeeded"""
    return _answer("repairs", query, reports.repairs)


@bp.get("/reports/inventory")
@bp.input(InventoryQuery, location="query", arg_name="query")
@bp.output(Report)
def inventory(query: InventoryQuery) -> Response:
    """What there is now, by role, release, rack, cluster, model, and disks by purpose"""
    with context().database.read() as session:
        return _written("inventory", query.format, {"items": reports.inventory(session)})


def _answer(name: str, query: ReportQuery, made: Callable[[Session, Period], Any]) -> Response:
    period = query.period(now())
    with context().database.read() as session:
        found = made(session, period)
    whole = found if isinstance(found, dict) else {"items": found}
    span = {"since": period.since.isoformat(), "until": period.until.isoformat()}
    return _written(name, query.format, {**whole, **span})


def _written(name: str, form: str, whole: Mapping[str, Any]) -> Response:
    if form == "csv":
        answer = Response(as_csv(COLUMNS[name], whole["items"]), mimetype="text/csv")
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return answer
    return jsonify({**whole, "next": None})


def as_csv(columns: Sequence[str], items: Sequence[Mapping[str, Any]]) -> str:
    """The rows with a head."""
    rows = (["" if item[name] is None else str(item[name]) for name in columns] for item in items)
    return csv_text.lines([columns, *rows])
