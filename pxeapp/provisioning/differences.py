"""Two texts compared line by line, as `diff -u` shows it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

CONTEXT = 3
NO_NEWLINE = "\\ No newline at end of file\n"


def unified(before: str, after: str, *, old: str, new: str) -> str:
    """The unified difference; empty where there is none."""
    lines = difflib.unified_diff(_lines(before), _lines(after), old, new, n=CONTEXT)
    return "".join(line if line.endswith("\n") else f"{line}\n{NO_NEWLINE}" for line in lines)


def changed_lines(before: str, after: str) -> tuple[str, ...]:
    """Only the lines that go (`-`) and come (`+`), wherever they stand."""
    return tuple(_changed(_lines(before), _lines(after)))


def _changed(before: list[str], after: list[str]) -> Iterator[str]:
    for what, old_from, old_to, new_from, new_to in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if what != "equal":
            yield from (f"-{line}" for line in before[old_from:old_to])
            yield from (f"+{line}" for line in after[new_from:new_to])


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
