"""What a package asks of others, as both worlds say it: one of several names, each perhaps of some version.

A need is read once and says which names would do, in the order in which the package prefers them. Nothing here knows
which packages there are; that is pool.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Atom:
    """One name that would do: `relation` is empty or one of << <= = >= >>; `arch` is what stands behind a colon."""

    name: str
    relation: str = ""
    version: str = ""
    arch: str = ""
    also: tuple[str, ...] = ()  # rpm's `with`: the same package must provide these too
    without: tuple[str, ...] = ()  # and must not provide those

    def __str__(self) -> str:
        """As an operator would write it."""
        name = f"{self.name}:{self.arch}" if self.arch else self.name
        return f"{name} ({self.relation} {self.version})" if self.relation else name


@dataclass(frozen=True, slots=True)
class Need:
    """Any one of `any_of`; a `weak` one is taken where it can be had and missed by nobody."""

    any_of: tuple[Atom, ...]
    weak: bool = False
    only_if: str = ""  # a name: where nothing that is chosen provides it, nobody misses this either

    def __str__(self) -> str:
        """As it is listed where nothing satisfies it."""
        return " | ".join(str(atom) for atom in self.any_of)


def merged(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Each need once, in the order of their first appearance."""
    return tuple(dict.fromkeys(needs))
