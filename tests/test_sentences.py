"""Long lists in sentences."""

from __future__ import annotations

import pytest

from pxeapp.sentences import few, first_few

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("most", "of", "said"),
    [(3, None, "a, b, c"), (2, None, "a, b and 1 more"), (9, None, "a, b, c"), (3, 10, "a, b, c and 7 more")],
)
def test_the_first_are_named_and_the_others_counted(most: int, of: int | None, said: str) -> None:
    assert few(NAMES, most, of=of) == said


def test_nobody_and_other_commas() -> None:
    assert few([], 3) == ""
    assert few(NAMES, 1, comma="; ", last="; and ") == "a; and 2 more"


def test_what_nobody_counted_ends_in_dots() -> None:
    assert first_few(NAMES, 3) == "a, b, c"
    assert first_few(NAMES, 2) == "a, b, ..."
