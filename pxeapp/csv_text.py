"""Text as CSV that every program reads as text, a spreadsheet too."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

# What a spreadsheet would take for the beginning of a formula, whoever wrote it into a label (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def lines(rows: Iterable[Iterable[str]]) -> str:
    """A line for each row; a cell that would be run as a formula has an apostrophe before it."""
    text = io.StringIO()
    csv.writer(text).writerows([_safe(cell) for cell in row] for row in rows)
    return text.getvalue()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
