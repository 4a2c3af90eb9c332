"""Reports: how long steps take, how many deployments succeed, why others fail, how fast that is mended, inventory."""

from __future__ import annotations

import datetime as dt

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from pxeapp.answers.models import Role
from pxeapp.api.context import context
from pxeapp.db import now
from pxeapp.provisioning import reports
from pxeapp.provisioning.reports import WHOLE, Period
from pxeapp.software.models import Release
from pxeapp.ui import charts
from pxeapp.ui.blueprint import bp, span
from pxeapp.ui.language import _, spoken

PERIODS = (7, 30, 90, 365)
REPAIRS_SHOWN = 20


@bp.get("/reports")
def reports_page() -> ResponseReturnValue:
    """All reports over one period."""
    days = request.args.get("days", 30, type=int)
    days = days if days in PERIODS else 30
    moment = now()
    period = Period(
        moment - dt.timedelta(days=days), moment, *(_plain(request.args.get(each, "")) for each in ("release", "role"))
    )
    with context().database.read() as session:
        durations = reports.durations(session, period)
        success = reports.success(session, period)
        failures = reports.failures(session, period)
        repairs = reports.repairs(session, period)
        inventory = reports.inventory(session)
        releases = session.scalars(select(Release.name).order_by(Release.name)).all()
        roles = session.scalars(select(Role.name).order_by(Role.name)).all()
    done, bad = (sum(day[name] for day in success) for name in ("succeeded", "failed"))
    return render_template(
        "reports.html",
        days=days, periods=PERIODS, period=period, releases=releases, roles=roles, durations=durations, success=success,
        failures=failures, repairs=repairs, repairs_shown=repairs["items"][:REPAIRS_SHOWN], inventory=inventory,
        done=done, failed=bad, rate=done / (done + bad) if done + bad else None,
        step_bars=_step_bars(durations), day_columns=_day_columns(success, period), cause_bars=_cause_bars(failures),
        seconds=_span,
    )  # fmt: skip


def _plain(text: str) -> str:
    return text.replace("\0", "")[:63]


def _span(seconds: float | None) -> str:
    return "–" if seconds is None else span(dt.timedelta(seconds=seconds))


def _step_bars(durations: list[dict[str, object]]) -> dict[str, list[charts.Bar]]:
    """By release: each step's median as a bar, its 90th percentile as a mark."""
    found: dict[str, list[tuple[str, float, float, str]]] = {}
    for item in durations:
        if item["step"] != WHOLE:
            median, p90 = float(str(item["median_s"])), float(str(item["p90_s"]))
            label = spoken(str(item["step"]).replace("_", " "))
            found.setdefault(str(item["release"]), []).append((label, median, p90, f"{_span(median)} / {_span(p90)}"))
    return {release: charts.bars(lines) for release, lines in found.items()}


def _day_columns(success: list[dict[str, object]], period: Period) -> list[charts.Column]:
    """Every day of the period, those without a deployment as well, so that a gap is seen as one."""
    by_day = {str(item["day"]): item for item in success}
    day, found = period.since.date(), []
    while day <= period.until.date():
        item = by_day.get(day.isoformat(), {})
        good, bad = int(str(item.get("succeeded", 0))), int(str(item.get("failed", 0)))
        text = _("%(day)s: %(good)s succeeded, %(bad)s failed", day=day.isoformat(), good=good, bad=bad)
        found.append((good, bad, text))
        day += dt.timedelta(days=1)
    return charts.columns(found)


def _cause_bars(failures: list[dict[str, object]]) -> list[charts.Bar]:
    lines = [
        (spoken(str(item["cause"]).replace("_", " ")), float(str(item["count"])), 0.0, str(item["count"]))
        for item in failures
    ]
    return charts.bars(lines[:15])
