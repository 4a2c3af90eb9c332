"""Lists: `{"items": [...], "next": ...}`, where `next` is what to pass as `after` for the next page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

T = TypeVar("T")


class PageQuery(BaseModel):
    """Where the page starts and how long it is."""

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    @property
    def after_id(self) -> int:
        """`after` where the key is a number; whatever is not one starts at the beginning."""
        return int(self.after) if self.after.isdigit() and len(self.after) < 18 else 0


class Page(BaseModel):
    """A page of a list."""

    items: list[Any]
    next: str | None = None


def page(rows: Sequence[T], limit: int, show: Callable[[T], Any], key: Callable[[T], Any]) -> dict[str, Any]:
    """A page from `limit + 1` rows: the extra one only says that there is more."""
    shown = rows[:limit]
    return {"items": [show(row) for row in shown], "next": str(key(shown[-1])) if len(rows) > limit else None}
