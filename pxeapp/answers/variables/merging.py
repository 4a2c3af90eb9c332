"""Which value of a variable holds: where it may be said, in order, and what is still missing. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pxeapp.answers.variables.builtin import BUILTIN
from pxeapp.answers.variables.schema import Variable
from pxeapp.errors import FieldProblem
from pxeapp.machines import sealed

Said = Mapping[str, Any]
Open = Callable[[Said], Any]  # a sealed value's content
WITH_PARTS = frozenset(name for name, each in BUILTIN.items() if each.parts is not None)


def layers(
    declared: Mapping[str, Variable], *, role: Said, cluster: Said, secrets: Said, machine: Said
) -> dict[str, Said]:
    """Where variables are said, by the name of the place; a later one wins.

    A role is what machines of every cluster have in common, so it is the most general; a cluster says what holds
    there, a machine what holds for it alone.
    """
    defaults = {name: each.empty if each.default is None else each.default for name, each in declared.items()}
    return {"default": defaults, "role": role, "cluster": {**secrets, **cluster}, "machine": machine}


def merged(places: Mapping[str, Said], opened: Open) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables that hold, and those of them that are secret."""
    said: dict[str, Any] = {}
    for place in places.values():
        said.update(place)
    secrets = {}

    def part(where: str, value: Said) -> Any:
        found = opened(value)
        if "shown" not in value:  # else only a part of it is secret, and whoever reads it says which
            secrets[where] = found
        return found

    for name, value in said.items():
        if sealed.is_sealed(value) or name in WITH_PARTS:
            said[name] = sealed.opened_within(name, value, part)
    return said, secrets


def missing(declared: Mapping[str, Variable], said: Said, *, machine: str, role: str) -> list[FieldProblem]:
    """What the role needs on this machine and nobody said, with where to say it."""
    return [
        FieldProblem(
            f"vars.{name}",
            f"is missing; {machine} as {role} needs it. {each.help}".strip(),
            f"Say it in the {'secrets' if each.secret else 'vars'} of its cluster."
            if each.scope == "cluster"
            else "Say it in the vars of the machine, its cluster or its role.",
        )
        for name, each in declared.items()
        if said.get(name) in (None, "", []) and each.needed(said)
    ]
