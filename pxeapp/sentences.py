"""How a sentence names what may be very many: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence


def few(names: Sequence[str], most: int, *, of: int | None = None, comma: str = ", ", last: str = " and ") -> str:
    """`a, b and 7 more`; `of` is how many there are where `names` are not all of them."""
    left = (len(names) if of is None else of) - most
    return comma.join(names[:most]) + (f"{last}{left} more" if left > 0 else "")


def first_few(names: Sequence[str], most: int) -> str:
    """`a, b, ...`, where nobody has counted the others."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
