"""The variables that answer files know, a machine's own before its role's; any other is for a site's templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pxeapp.answers import storage
from pxeapp.answers.storage import Layout
from pxeapp.errors import FieldProblem, Invalid


@dataclass(frozen=True, slots=True)
class Variables:
    """What can be said in `vars`, with what holds when it is not said; None: the machine's network or role decides."""

    domain: str | None = None
    packages: tuple[str, ...] = ()
    layout: Layout | None = None
    timezone: str = "Etc/UTC"
    locale: str = "en_US.UTF-8"
    keyboard: str = "us"
    ntp: tuple[str, ...] | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    root_password_hash: str | None = None


NAMES = tuple(field.name for field in fields(Variables))
LISTS = ("packages", "ntp", "ssh_authorized_keys")


def read(said: Mapping[str, Any]) -> Variables:
    """The known variables; raises Invalid with every one that is not what it must be."""
    found: dict[str, Any] = {}
    problems: list[FieldProblem] = []
    for name in NAMES:
        value = said.get(name)
        if value is None:
            continue
        if name == "layout":
            try:
                found[name] = storage.read(value, "vars.layout")
            except Invalid as error:
                problems += error.problems
        elif name in LISTS and isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
            found[name] = tuple(value)
        elif name not in LISTS and isinstance(value, str):
            found[name] = value
        else:
            wanted = 'a list of texts: ["...", "..."]' if name in LISTS else 'a text: "..."'
            problems.append(FieldProblem(f"vars.{name}", "is of the wrong kind.", f"Write {wanted}."))
    if problems:
        raise Invalid("The variables cannot be used.", problems=problems)
    return Variables(**found)
