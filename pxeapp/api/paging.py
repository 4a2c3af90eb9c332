"""Lists: `{"items": [...], "next": ...}`, where `next` is what to pass as `after` for the next page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field
from werkzeug.routing import IntegerConverter, Map

from pxeapp.api import fields
from pxeapp.errors import FieldProblem, Invalid

T = TypeVar("T")
MAX_NUMBER = 2**31 - 1  # of a row, in PostgreSQL as in SQLite


class RowNumber(IntegerConverter):
    """`<int:number>` in a route: a number that no row can have is a 404, not an overflow in the database."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=MAX_NUMBER)


def row_number(text: str, most: int = MAX_NUMBER) -> int:
    """A number out of an address or a form, `most` at the most; 0 for what is none, however long it is."""
    if not text.isascii() or not text.isdigit():
        return 0
    digits = text.lstrip("0")
    return most if len(digits) > len(str(most)) else min(int(digits or "0"), most)


class PageQuery(BaseModel):
    """Where the page starts and how long it is."""

    after: Annotated[str, Field(max_length=255)] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    @property
    def after_id(self) -> int:
        """`after` where the key is a number; raises Invalid for what is none: who pages would begin anew for ever."""
        if self.after and not (self.after.isascii() and self.after.isdigit()):
            raise _no_page(self.after)
        return row_number(self.after)


class Page(BaseModel):
    """A page of a list."""

    items: list[Any]
    next: str | None = None


def page(rows: Sequence[T], limit: int, show: Callable[[T], dict[str, Any]], key: Callable[[T], Any]) -> dict[str, Any]:
    """A page from `limit + 1` rows: the extra one only says that there is more."""
    shown = rows[:limit]
    return listed([show(row) for row in shown], str(key(shown[-1])) if len(rows) > limit else None)


def part(items: Sequence[dict[str, Any]], query: PageQuery, key: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """A page of a list that is made as a whole; raises Invalid where nothing in it has the key that `after` says."""
    keys = [str(key(each)) for each in items]
    if query.after and query.after not in keys:
        raise _no_page(query.after)
    start = keys.index(query.after) + 1 if query.after else 0
    shown = items[start : start + query.limit]
    return listed(shown, keys[start + query.limit - 1] if start + query.limit < len(items) else None)


def _no_page(after: str) -> Invalid:
    fix = "Send what `next` was in the answer before, or nothing for the first page."
    return Invalid(
        "No page begins there.", problems=[FieldProblem("after", f"{after[:40]!r} is not of this list.", fix)]
    )


def listed(items: Sequence[dict[str, Any]], following: str | None = None) -> dict[str, Any]:
    """A page of what is shown already, narrowed to the fields that were asked for."""
    return {"items": [fields.chosen(each) for each in items], "next": following}
