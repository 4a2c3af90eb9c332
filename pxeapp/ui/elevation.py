"""A rack as it is drawn: which units its machines fill, from the top down, and where two claim the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

LEAST_UNITS = 42  # what a rack has unless something stands higher
MOST_UNITS = 60  # the highest rack that is drawn
MOST_HEIGHT = 20  # of one machine: a chassis
_UNIT = re.compile(r"[Uu]?\s*(\d{1,2})(?:\s*[-–]\s*[Uu]?\s*(\d{1,2}))?\s*[Uu]?")
_HEIGHT = re.compile(r"(\d{1,2})\s*[Uu]?")


class Placed(NamedTuple):
    """What is drawn of a machine."""

    id: int
    name: str
    state: str
    power: str
    role: str | None
    release: str | None
    fault: str
    location: dict[str, Any]


class Span(NamedTuple):
    """The units a machine fills, the lowest and the highest."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Block:
    """Some units on top of each other: one machine, several that claim them, or nobody."""

    low: int
    high: int
    machines: tuple[Placed, ...] = ()

    @property
    def height(self) -> int:
        """In units."""
        return self.high - self.low + 1

    @property
    def conflict(self) -> bool:
        """Two machines cannot stand in one place."""
        return len(self.machines) > 1


@dataclass(slots=True)
class Rack:
    """One rack with what stands in it, and what is said to without saying where."""

    name: str
    place: tuple[str, ...]  # site, room
    blocks: list[Block] = field(default_factory=list)
    unplaced: list[Placed] = field(default_factory=list)

    @property
    def units(self) -> int:
        """Its height."""
        return self.blocks[0].high if self.blocks else LEAST_UNITS

    @property
    def used(self) -> int:
        """How many units are filled."""
        return sum(block.height for block in self.blocks if block.machines)

    @property
    def conflicts(self) -> list[Block]:
        """Where more than one machine is said to stand."""
        return [block for block in self.blocks if block.conflict]

    @property
    def rows(self) -> list[tuple[str, Placed]]:
        """The same as a table: units in words, from the top down, and then what has no place."""
        found = [(unit_words(block, each), each) for block in self.blocks for each in block.machines]
        return [*found, *(("", each) for each in self.unplaced)]


def unit_words(block: Block, machine: Placed) -> str:
    """The units of a machine: U7 or U7–8."""
    span = units(machine.location) or Span(block.low, block.high)
    return f"U{span.low}" if span.low == span.high else f"U{span.low}–{span.high}"


def units(location: dict[str, Any]) -> Span | None:
    """Which units a location names: 7, "U7", "7-8", with or without a height; None where it cannot be drawn."""
    found = _UNIT.fullmatch(str(location.get("unit", "")).strip())
    if not found:
        return None
    low = int(found[1])
    high = int(found[2]) if found[2] else low
    low, high = min(low, high), max(low, high)
    tall = _HEIGHT.fullmatch(str(location.get("height", "")).strip())
    if tall and not found[2]:
        high = low + max(1, int(tall[1])) - 1
    fits = low >= 1 and high <= MOST_UNITS and high - low < MOST_HEIGHT
    return Span(low, high) if fits else None


def racks(machines: Iterable[Placed]) -> list[Rack]:
    """All of them, each with its machines; two racks of one name in two rooms are two."""
    found: dict[tuple[tuple[str, ...], str], list[Placed]] = {}
    for machine in machines:
        place = tuple(str(machine.location[name]) for name in ("site", "room") if machine.location.get(name))
        found.setdefault((place, str(machine.location.get("rack", ""))), []).append(machine)
    return [_rack(name, place, inside) for (place, name), inside in sorted(found.items())]


def _rack(name: str, place: tuple[str, ...], inside: Sequence[Placed]) -> Rack:
    rack = Rack(name, place)
    standing = []
    for machine in inside:
        span = units(machine.location)
        if span is None:
            rack.unplaced.append(machine)
        else:
            standing.append((span, machine))
    filled = _merged(sorted(standing, key=lambda each: (each[0], each[1].name)))
    top = max([LEAST_UNITS, *(block.high for block in filled)])
    at = 1
    blocks: list[Block] = []
    for block in filled:
        blocks += [Block(unit, unit) for unit in range(at, block.low)]
        blocks.append(block)
        at = block.high + 1
    blocks += [Block(unit, unit) for unit in range(at, top + 1)]
    rack.blocks = blocks[::-1]
    return rack


def _merged(standing: Sequence[tuple[Span, Placed]]) -> list[Block]:
    """Machines whose units overlap are drawn as one block that both claim."""
    found: list[Block] = []
    for span, machine in standing:
        if found and span.low <= found[-1].high:
            before = found.pop()
            found.append(Block(before.low, max(before.high, span.high), (*before.machines, machine)))
        else:
            found.append(Block(span.low, span.high, (machine,)))
    return found
