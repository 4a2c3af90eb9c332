"""The relation fields of Debian's control files (Policy 7.1), read into needs."""

from __future__ import annotations

import re
from functools import lru_cache

from pxeapp.software.mirrors.needs import Atom, Need

_ATOM = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)(?::(?P<arch>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<relation><<|<=|>=|>>|=|<|>)\s*(?P<version>[^)\s]+)\s*\))?"
    r"(?:\s*\[[^\]]*\])?(?:\s*<[^>]*>)*\s*"
)
# Policy 7.1: the old < and > mean what <= and >= say.
RELATIONS = {"<<": "<<", "<": "<=", "<=": "<=", "=": "=", ">=": ">=", ">": ">=", ">>": ">>"}
STRONG = ("Pre-Depends", "Depends")
WEAK = ("Recommends",)
AGAINST = ("Conflicts", "Breaks")


@lru_cache(maxsize=16384)
def read(text: str, *, weak: bool = False) -> tuple[Need, ...]:
    """`a (>= 1), b | c` as needs; what cannot be read is kept as a name that nothing has, so that it is listed."""
    return tuple(
        Need(tuple(_atom(part) for part in group.split("|") if part.strip()), weak)
        for group in text.split(",")
        if group.strip(" \n\t|")
    )


def atoms(text: str) -> list[Atom]:
    """The names of a field without alternatives."""
    return [_atom(each) for each in text.split(",") if each.strip()]


def provided(text: str) -> list[tuple[str, str]]:
    """The names in a Provides field, each with its version or an empty one; there can be thousands in one."""
    found = []
    for each in text.split(","):
        name, _, version = each.strip().partition(" ")
        if name:
            found.append((name.partition(":")[0], version.strip("(= )") if version else ""))
    return found


@lru_cache(maxsize=16384)
def _atom(text: str) -> Atom:
    match = _ATOM.fullmatch(text)
    if match is None:
        return Atom(" ".join(text.split()))
    relation = match["relation"]
    return Atom(match["name"], RELATIONS[relation] if relation else "", match["version"] or "", match["arch"] or "")
