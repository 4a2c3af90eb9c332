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


def last_words(said: str, most: int = 300) -> str:
    """The last line of a program's words that says anything, without what a terminal would obey."""
    lines = [line.strip() for line in said.replace("\r", "\n").split("\n") if line.strip()]
    return "".join(letter for letter in lines[-1] if letter.isprintable())[-most:] if lines else ""
