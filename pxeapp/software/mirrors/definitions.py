"""Ready definitions: which packages a service or a whole node begins with, by family. Data in definitions.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from pxeapp.errors import NotFound

FAMILIES = ("debian", "ubuntu", "el")
EL = ("centos", "rocky", "alma")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Definition:
    """One of them, with everything that it is made `of`."""

    name: str
    title: str
    node: bool  # a whole node, not a service
    packages: Mapping[str, tuple[str, ...]]  # by family, all three


def family_of(family: str) -> str:
    """How definitions call a release's family."""
    return "el" if family in EL else family


@cache
def everything() -> Mapping[str, Definition]:
    """All definitions by name, in the order of the file."""
    said = yaml.load(resources.files(__package__).joinpath("definitions.yaml").read_text(), Loader=LOADER)  # noqa: S506
    return {name: Definition(name, each["title"], bool(each.get("node")), {
        family: _packages(said, name, family) for family in FAMILIES
    }) for name, each in said.items()}  # fmt: skip


def named(name: str) -> Definition:
    """The definition of this name; raises NotFound."""
    known = everything()
    if name not in known:
        raise NotFound(f"There is no definition {name[:63]!r}.", hint=f"There are: {', '.join(known)}.")
    return known[name]


def _packages(said: Mapping[str, Mapping[str, list[str]]], name: str, family: str) -> tuple[str, ...]:
    each = said[name]
    own = each.get(family, each.get("debian", []) if family == "ubuntu" else [])
    return tuple(dict.fromkeys([*(p for part in each.get("of", []) for p in _packages(said, part, family)), *own]))
