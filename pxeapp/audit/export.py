"""The audit as a file: CSV for spreadsheets, JSON or JSON lines for programs; a part at a time, however much it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pxeapp import csv_text
from pxeapp.audit import search
from pxeapp.audit.search import Narrowed
from pxeapp.db import Database

AT_ONCE = 1000
COLUMNS = (
    "id", "at", "actor", "action", "subject", "outcome", "address", "request_id", "before", "after", "details",
    "number", "hash",
)  # fmt: skip
MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json", "jsonl": "application/x-ndjson"}


def rows(database: Database, narrowed: Narrowed) -> Iterator[dict[str, Any]]:
    """Every row, oldest first. Each part in a transaction of its own: a slow reader holds nothing."""
    after = 0
    while True:
        with database.read() as session:
            found = [search.shown(row) for row in search.page(session, narrowed, after=after, limit=AT_ONCE)]
        yield from found
        if len(found) < AT_ONCE:
            return
        after = found[-1]["id"]


def text(database: Database, narrowed: Narrowed, form: str) -> Iterator[str]:
    """The file, piece by piece; raises Invalid before the first one, as what is sent cannot be taken back."""
    search.check(narrowed)
    return _pieces(database, narrowed, form)


def _pieces(database: Database, narrowed: Narrowed, form: str) -> Iterator[str]:
    if form == "csv":
        yield from _csv(rows(database, narrowed))
    elif form == "jsonl":
        yield from (json.dumps(row) + "\n" for row in rows(database, narrowed))
    else:
        yield '{"items": ['
        for place, row in enumerate(rows(database, narrowed)):
            yield (",\n" if place else "\n") + json.dumps(row)
        yield '\n], "next": null}\n'


def _csv(found: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield csv_text.lines([COLUMNS])
    for row in found:
        yield csv_text.lines([[_cell(row[name]) for name in COLUMNS]])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
