"""What was asked of upstreams' mirrors, as rows: numbers for each day, and a bounded list of what was missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pxeapp.software.cache.access_log import Asked
from pxeapp.software.cache.models import UpstreamDay, UpstreamMissing, UpstreamState

COUNTED = (
    "requests", "hits", "misses", "index_hits", "index_misses", "bytes_from_cache", "bytes_from_upstream", "errors",
    "absent",
)  # fmt: skip
KEPT_DAYS = 90
MOST_MISSING = 500  # of one upstream
SHOWN_MISSING = 50


def add(
    session: Session,
    by_day: Mapping[str, Mapping[str, Asked]],
    fetched: Mapping[str, int],
    known: Sequence[str],
    now: dt.datetime,
) -> None:
    """Count what was asked; `fetched` are bytes of indexes, which the log does not know. Names not `known` are left."""
    today = f"{now:%Y-%m-%d}"
    for name, size in fetched.items():
        if size:
            _day(session, name, today).bytes_from_upstream += size
    for day, by_name in by_day.items():
        for name, asked in by_name.items():
            if name not in known:
                continue
            row = _day(session, name, day)
            for column in COUNTED:
                setattr(row, column, getattr(row, column) + asked.numbers[column])
            for (path, why), count in asked.missing.items():
                _missing(session, name, path, why, count, now)
            _forget_most(session, name)
    oldest = f"{now - dt.timedelta(days=KEPT_DAYS):%Y-%m-%d}"
    session.execute(delete(UpstreamDay).where(UpstreamDay.day < oldest))


def observe(session: Session, name: str, problem: str, sets: Sequence[Mapping[str, Any]], now: dt.datetime) -> None:
    """Write down what the front sees of an upstream, where that has changed."""
    row = session.get(UpstreamState, name)
    if row is None:
        row = UpstreamState(name=name, problem="", sets=[], updated_at=now)
        session.add(row)
    if (row.problem, row.sets) != (problem, list(sets)):
        row.problem, row.sets, row.updated_at = problem, [dict(each) for each in sets], now


def of(session: Session, name: str, *, days: int, now: dt.datetime) -> dict[str, Any]:
    """Sums of the last days, the days themselves, and what was missing most often."""
    since = f"{now - dt.timedelta(days=days - 1):%Y-%m-%d}"
    query = select(UpstreamDay).where(UpstreamDay.name == name, UpstreamDay.day >= since).order_by(UpstreamDay.day)
    rows = session.scalars(query).all()
    missing = session.scalars(
        select(UpstreamMissing).where(UpstreamMissing.name == name)
        .order_by(UpstreamMissing.count.desc(), UpstreamMissing.path).limit(SHOWN_MISSING)
    )  # fmt: skip
    return {
        "name": name,
        "days": days,
        **{column: sum(getattr(row, column) for row in rows) for column in COUNTED},
        "by_day": [{"day": row.day, **{column: getattr(row, column) for column in COUNTED}} for row in rows],
        "missing": [
            {"path": row.path, "why": row.why, "count": row.count, "last_at": row.last_at.isoformat()}
            for row in missing
        ],
    }


def on(session: Session, day: str) -> dict[str, dict[str, int]]:
    """What was counted on a day, by upstream."""
    rows = session.scalars(select(UpstreamDay).where(UpstreamDay.day == day))
    return {row.name: {column: getattr(row, column) for column in COUNTED} for row in rows}


def _day(session: Session, name: str, day: str) -> UpstreamDay:
    row = session.get(UpstreamDay, (name, day))
    if row is None:
        row = UpstreamDay(name=name, day=day, **dict.fromkeys(COUNTED, 0))
        session.add(row)
        session.flush()
    return row


def _missing(session: Session, name: str, path: str, why: str, count: int, now: dt.datetime) -> None:
    query = select(UpstreamMissing).where(UpstreamMissing.name == name, UpstreamMissing.path == path)
    row = session.scalar(query)
    if row is None:
        row = UpstreamMissing(name=name, path=path, why=why, count=0, last_at=now)
        session.add(row)
    row.why, row.last_at = why, now
    row.count += count


def _forget_most(session: Session, name: str) -> None:
    """The list is bounded: whoever asks for made-up names pushes out the oldest, and fills nothing."""
    session.flush()
    of_name = UpstreamMissing.name == name
    number = session.scalar(select(func.count()).select_from(UpstreamMissing).where(of_name)) or 0
    if number > MOST_MISSING:
        query = select(UpstreamMissing.id).where(of_name).order_by(UpstreamMissing.last_at, UpstreamMissing.id)
        old = session.scalars(query.limit(number - MOST_MISSING)).all()
        session.execute(delete(UpstreamMissing).where(UpstreamMissing.id.in_(old)))
