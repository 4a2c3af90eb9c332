"""A row of an import file, and how a broken file is called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pxeapp.errors import FieldProblem, Invalid

LIST_NAMES = ("machines", "items")  # what the list is called where the file is an object that holds it


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the file, as it stands there, and the line it starts in."""

    line: int
    values: dict[str, Any]


def record(line: int, value: Any) -> Record:
    """A value of the file as a row; raises Invalid when it is not an object."""
    if not isinstance(value, dict):
        raise broken(line, "a machine must be an object with name and mac")
    return Record(line, value)


def broken(line: int, problem: str) -> Invalid:
    """The error for a file that cannot be read at all."""
    return Invalid(
        f"The file cannot be read: line {line}: {problem}.",
        problems=[FieldProblem("file", f"{problem}.", "Correct the file and send it again.", line)],
    )


class Twice(ValueError):
    """A key stands twice in one object; which of the two was meant is not ours to guess."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key[:60]!r} stands twice in one object")


def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dictionary; raises Twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Twice(key)
        found[key] = value
    return found
