"""Secrets within a variable's value: each sealed where it stands, and carried over when it comes back masked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from pxeapp.answers.variables.schema import Variable
from pxeapp.errors import FieldProblem
from pxeapp.machines import sealed

Seal = Callable[[Any, Any], Any]


def carried(variable: Variable, said: Any, present: Any) -> tuple[Any, list[FieldProblem]]:
    """What was said, with what is kept where it came back masked; and each mask that stands for nothing."""
    kept = _kept(variable, present)
    problems = []
    for part in _parts(variable, said):
        if not part.masked:
            continue
        if part.whose in kept:
            said = _with(said, part.place, kept[part.whose])
        else:
            where = ".".join(["vars", variable.name, *map(str, part.place)])
            problem = f"{part.shown} stands for a secret that is kept, and none is kept for this one."
            problems.append(FieldProblem(where, problem, "Give the secret itself."))
    return said, problems


def stood_in(variable: Variable, value: Any) -> Any:
    """The value as a check may see it: what is sealed was checked when it was said."""
    for part in _parts(variable, value):
        if sealed.is_sealed(part.value):
            value = _with(value, part.place, part.stand_in)
    return value


def sealed_within(variable: Variable, value: Any, present: Any, seal: Seal) -> Any:
    """The value as it is kept; a secret that is there already stays as it is."""
    kept = _kept(variable, present)
    for part in _parts(variable, value):
        if not sealed.is_sealed(part.value):
            made = seal(_one_text(part.value), kept.get(part.whose))
            if part.shown != sealed.SHOWN:
                made = {**made, "shown": part.shown}
            value = _with(value, part.place, made)
    return value


def _parts(variable: Variable, value: Any) -> list[Any]:
    return [] if variable.parts is None else list(variable.parts(value))


def _kept(variable: Variable, present: Any) -> dict[tuple[Any, ...], Any]:
    return {part.whose: part.value for part in _parts(variable, present) if sealed.is_sealed(part.value)}


def _one_text(value: Any) -> Any:
    """A list of lines as the text that they are: it is masked as a whole, not line by line."""
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) and "\n" not in line for line in value):
        return "".join(f"{line}\n" for line in value)
    return value


def _with(value: Any, place: tuple[str | int, ...], part: Any) -> Any:
    if not place:
        return part
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = part
    return changed
