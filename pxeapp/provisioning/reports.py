"""What happened over a period, in numbers: from the records of finished attempts, which are narrow (see records.py).

100,000 of them are summed up in a second or so. Medians are exact: neither database has a function for them that the
other has too, so that the numbers come out sorted and are counted off here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, func, literal_column, select
from sqlalchemy.orm import Session

from pxeapp.machines.models import Disk, Machine, Sighting
from pxeapp.provisioning.lifecycle import ABORTED, FAILED, SUCCEEDED
from pxeapp.provisioning.models import DeploymentRecord
from pxeapp.provisioning.records import STEPS

Record = DeploymentRecord
WHOLE = "whole"  # the row that tells how long an attempt took from order to end
ROUND = 3  # digits behind the point of a second


@dataclass(frozen=True, slots=True)
class Period:
    """Which attempts are counted: those that ended in it, of a release and role where those are named."""

    since: dt.datetime
    until: dt.datetime
    release: str = ""
    role: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL."""
        found = [Record.finished_at >= self.since, Record.finished_at < self.until]
        found += [Record.release == self.release] if self.release else []
        found += [Record.role == self.role] if self.role else []
        return found


def durations(session: Session, period: Period) -> list[dict[str, Any]]:
    """How long each step took, by release: median and 90th percentile of the attempts that succeeded."""
    columns = [getattr(Record, step) for step in STEPS]
    found = session.execute(
        select(Record.release, Record.took_ms, *columns)
        .where(*period.conditions(), Record.outcome == SUCCEEDED)
        .order_by(Record.release)
    ).all()
    items = []
    for release, group in groupby(found, key=lambda row: row[0]):
        by_step = zip((WHOLE, *STEPS), zip(*(row[1:] for row in group), strict=True), strict=True)
        for step, values in by_step:
            known = sorted(value for value in values if value is not None)
            if known:
                items.append(
                    {
                        "release": release,
                        "step": str(step),
                        "count": len(known),
                        "median_s": _seconds(percentile(known, 0.5)),
                        "p90_s": _seconds(percentile(known, 0.9)),
                        "longest_s": _seconds(known[-1]),
                    }
                )
    return items


def success(session: Session, period: Period) -> list[dict[str, Any]]:
    """Attempts by the day on which they ended (UTC): how many succeeded, failed, were aborted, and the rate."""
    day = _day(session)
    numbers = [func.sum(case((Record.outcome == outcome, 1), else_=0)) for outcome in (SUCCEEDED, FAILED, ABORTED)]
    found = session.execute(select(day, *numbers).where(*period.conditions()).group_by(day).order_by(day))
    return [
        {
            "day": str(at),
            "succeeded": int(good),
            "failed": int(bad),
            "aborted": int(stopped),
            "rate": round(good / (good + bad), 4) if good + bad else None,
        }
        for at, good, bad, stopped in found
    ]


def failures(session: Session, period: Period) -> list[dict[str, Any]]:
    """Why attempts failed: each cause with how often, on how many machines, and when last; the most frequent first."""
    number = func.count()
    found = session.execute(
        select(
            Record.reason_code, number, func.count(Record.machine_id.distinct()), func.max(Record.finished_at),
            func.max(Record.deployment_id),
        )
        .where(*period.conditions(), Record.outcome == FAILED)
        .group_by(Record.reason_code)
        .order_by(number.desc(), Record.reason_code)
    ).all()  # fmt: skip
    total = sum(row[1] for row in found)
    return [
        {
            "cause": cause or "unknown",
            "count": count,
            "share": round(count / total, 4),
            "machines": machines,
            "last_at": last.isoformat(),
            "last_deployment": deployment,
        }
        for cause, count, machines, last, deployment in found
    ]


def repairs(session: Session, period: Period) -> dict[str, Any]:
    """How long a machine whose deployment failed took to be deployed: from the first failure to the next success."""
    failed = select(Record.machine_id).where(*period.conditions(), Record.outcome == FAILED).distinct()
    found = session.execute(
        select(Record.machine_id, Record.machine, Record.release, Record.outcome, Record.finished_at)
        .where(Record.machine_id.in_(failed), Record.finished_at >= period.since, Record.outcome != ABORTED)
        .order_by(Record.machine_id, Record.finished_at, Record.id)
    )
    items, open_now = [], 0
    for _machine, group in groupby(found, key=lambda row: row[0]):
        for broken, mended, attempts in _streaks(group):
            if broken.finished_at >= period.until:
                continue
            if mended is None:
                open_now += 1
                continue
            items.append(
                {
                    "machine": broken.machine,
                    "release": mended.release,
                    "failed_at": broken.finished_at.isoformat(),
                    "repaired_at": mended.finished_at.isoformat(),
                    "failures": attempts,
                    "took_s": _seconds((mended.finished_at - broken.finished_at).total_seconds() * 1000),
                }
            )
    took = sorted(item["took_s"] * 1000 for item in items)
    items.sort(key=lambda item: item["failed_at"], reverse=True)
    return {
        "items": items,
        "repaired": len(items),
        "still_failed": open_now,
        "median_s": _seconds(percentile(took, 0.5)) if took else None,
        "p90_s": _seconds(percentile(took, 0.9)) if took else None,
    }


def _streaks(rows: Iterator[Any]) -> Iterator[tuple[Any, Any, int]]:
    """The first failure of each row of them, the success that ended it (None: none yet), and how many there were."""
    broken, attempts = None, 0
    for row in rows:
        if row.outcome == FAILED:
            broken, attempts = broken or row, attempts + 1
        elif broken is not None:
            yield broken, row, attempts
            broken, attempts = None, 0
    if broken is not None:
        yield broken, None, attempts


def inventory(session: Session) -> list[dict[str, Any]]:
    """What there is now: machines by role and state, by release, rack and model, and the disks that are known."""
    items: list[dict[str, Any]] = []
    by = (("role", Machine.role), ("release", Machine.release), ("rack", Machine.rack), ("cluster", Machine.cluster))
    for kind, column in by:
        free = func.sum(case((Machine.state == "available", 1), else_=0))
        active = func.sum(case((Machine.state == "active", 1), else_=0))
        failed = func.sum(case((Machine.state.like("%failed"), 1), else_=0))
        found = session.execute(
            select(column, func.count(Machine.id), active, free, failed).group_by(column).order_by(column)
        )
        items += [
            _line(kind, what or "", count, active=on, available=spare, failed=bad)
            for what, count, on, spare, bad in found
        ]
    model = select(Sighting.manufacturer, Sighting.product, func.count()).where(Sighting.machine_id.is_not(None))
    for maker, product, count in session.execute(model.group_by(Sighting.manufacturer, Sighting.product)):
        if maker or product:
            items.append(_line("model", " ".join(filter(None, (maker, product))), count))
    disks = select(Disk.purpose, func.count(Disk.id), func.sum(Disk.size_bytes)).group_by(Disk.purpose)
    items += [_line("disks", purpose, count, size=size) for purpose, count, size in session.execute(disks)]
    return items


def _line(
    kind: str,
    what: str,
    count: int,
    *,
    active: int | None = None,
    available: int | None = None,
    failed: int | None = None,
    size: int | None = None,
) -> dict[str, Any]:
    return {
        "by": kind,
        "what": what,
        "machines": count,
        "active": active,
        "available": available,
        "failed": failed,
        "bytes": int(size) if size is not None else None,
    }


def percentile(known: Sequence[float], part: float) -> float:
    """Of sorted numbers, interpolated between the two nearest."""
    place = (len(known) - 1) * part
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (place - low)


def _seconds(ms: float) -> float:
    return round(ms / 1000, ROUND)


def _day(session: Session) -> ColumnElement[str]:
    """The day of the end, in UTC, as both databases write it."""
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", Record.finished_at), literal_column("'YYYY-MM-DD'"))
    return func.substr(cast(literal_column("deployment_records.finished_at"), String), 1, 10)
