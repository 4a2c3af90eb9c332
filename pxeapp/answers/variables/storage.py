"""Variables of disks and file systems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pxeapp.answers import storage
from pxeapp.answers.variables.schema import Problem, Variable


def _layout(value: Any) -> Iterable[Problem]:
    """What is wrong with a layout, each with the part of it that it is about."""
    for found in storage.problems(value):
        part = found.field.removeprefix("layout").lstrip(".")
        yield f"{part}: {found.problem}" if part else found.problem, found.fix


STORAGE = (
    Variable(
        "layout", type="any", check=_layout,
        help="Which disks the system is on and how they are divided: plain, lvm, or an object; see storage-layouts.md.",
    ),
)  # fmt: skip
