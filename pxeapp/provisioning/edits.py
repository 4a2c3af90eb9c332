"""Changes of single fields in one line each: `packages.debian+=htop`, `kernel_args=quiet`, `vars.ntp-=10.0.0.1`."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pxeapp.errors import FieldProblem, Invalid

EDIT = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*?)(\+=|-=|=)(.*)", re.DOTALL)


def patch(shown: Mapping[str, Any], said: Sequence[str]) -> dict[str, Any]:
    """What PATCH must be sent so that these changes happen to what is shown; raises Invalid."""
    wanted = copy.deepcopy(dict(shown))
    fields: list[str] = []
    for each in said:
        match = EDIT.fullmatch(each)
        if match is None:
            raise _bad(each[:60], "is no change.", "Write FIELD=VALUE, FIELD+=VALUE or FIELD-=VALUE.")
        path, how, text = match.groups()
        _edit(wanted, path, how, value(path, text))
        fields.append(path.split(".", 1)[0])
    return {name: wanted[name] for name in fields}


def value(where: str, text: str) -> Any:
    """A value as YAML writes it: text, 5, true, [a, b]; nothing at all is null."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _bad(where, f"{text[:60]!r} is not a value.", "Put it in quotes.") from None


def _edit(wanted: dict[str, Any], path: str, how: str, what: Any) -> None:
    *folders, last = path.split(".")
    place: Any = wanted
    for number, folder in enumerate(folders):
        place = place.setdefault(folder, {})
        if not isinstance(place, dict):
            raise _bad(".".join(folders[: number + 1]), "has no fields of its own.", "Set it as a whole.")
    if how == "=":
        place[last] = what
        return
    present = place.get(last)
    if present is None:
        present = []
    if not isinstance(present, list):
        raise _bad(path, "is not a list.", f"Write {path}=VALUE.")
    these = what if isinstance(what, list) else [what]
    missing = [each for each in these if each not in present]
    if how == "-=" and missing:
        raise _bad(
            path, f"does not hold {missing[0]!r}.", f"It holds: {', '.join(map(str, present[:20])) or 'nothing'}."
        )
    place[last] = [*present, *missing] if how == "+=" else [each for each in present if each not in these]


def _bad(field: str, problem: str, fix: str) -> Invalid:
    return Invalid("This cannot be compared.", problems=[FieldProblem(field, problem, fix)])
