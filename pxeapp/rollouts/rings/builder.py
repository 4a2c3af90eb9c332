"""What Swift's builder files say, as values, and what they are told to. Pure; builder.sh speaks with the files.

What we lowered is told from what somebody else did by a mark of ours in the device's `meta`, which Swift keeps and its
tools show: `[pxeapp rollout 7: weight 100.0]`. It holds the weight of before, so that nothing has to be remembered for
it; a device of weight 0 without it is somebody else's and stays so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netaddr import AddrFormatError, IPAddress

SCRIPT = (Path(__file__).parent / "builder.sh").read_text()
_MARK = re.compile(r"\s*\[pxeapp rollout \d+: weight ([0-9]+(?:\.[0-9]+)?)\]")

Mine = Mapping[str, list[int]]  # the numbers of a machine's devices, ring by ring
Words = dict[str, dict[str, dict[str, Any]]]  # what a turn is told: by ring, by device


@dataclass(frozen=True, slots=True)
class Device:
    """A disk of a ring."""

    number: int
    addresses: frozenset[str]
    name: str
    weight: float
    parts: int
    meta: str

    @property
    def before(self) -> float | None:
        """The weight that it had before a rollout of ours lowered it; None where none has."""
        found = _MARK.search(self.meta)
        return float(found[1]) if found else None

    @property
    def meta_of_others(self) -> str:
        """What else its meta says."""
        return _MARK.sub("", self.meta)


@dataclass(frozen=True, slots=True)
class Ring:
    """One ring: account, container, object, or object-N of a storage policy."""

    replicas: float
    wait_s: int  # until Swift lets a partition move again (its min_part_hours)
    stale: bool  # the ring's file is not what the builder file says
    sha256: str  # of the ring's file
    size: int  # bytes of it
    devices: Mapping[int, Device]


@dataclass(frozen=True, slots=True)
class Seen:
    """All rings of a builder's folder; `cluster` is the same on every node of one Swift."""

    rings: Mapping[str, Ring]
    cluster: str


def read(text: str) -> Seen:
    """What `builder.sh FOLDER look` printed. Raises ValueError where that is nothing of the kind."""
    try:
        said = json.loads(text)
        rings = {name: _ring(each) for name, each in said["rings"].items()}
        return Seen(rings, str(said["cluster"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"It lacks {error}.") from None


def _ring(said: Mapping[str, Any]) -> Ring:
    devices = {}
    for each in said["devices"]:
        addresses = frozenset(_plain(place) for place in (each["ip"], each["replication_ip"]) if place)
        devices[int(each["id"])] = Device(
            int(each["id"]), addresses, str(each["device"]), float(each["weight"]), int(each["parts"]),
            str(each["meta"] or ""),
        )  # fmt: skip
    return Ring(
        float(said["replicas"]), int(said["wait_s"]), bool(said["stale"]), str(said["sha256"]), int(said["size"]),
        devices,
    )  # fmt: skip


def _plain(address: str) -> str:
    """An address as everybody writes it; a host's name as it is."""
    try:
        return str(IPAddress(address))
    except (AddrFormatError, ValueError):
        return address.lower()


def of_machine(seen: Seen, places: Collection[str]) -> dict[str, list[int]]:
    """The devices that are at one of these addresses or names, ring by ring."""
    known = {_plain(each) for each in places}
    found = {
        name: [each.number for each in ring.devices.values() if each.addresses & known]
        for name, ring in seen.rings.items()
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def names(seen: Seen, mine: Mine) -> list[str]:
    """What its devices are called, each once."""
    return sorted({each.name for _, each in _devices(seen, mine)})


def to_drain(seen: Seen, mine: Mine, rollout: int) -> Words:
    """Weight 0 and our mark for what still has a weight."""
    words: Words = {}
    for ring, each in _devices(seen, mine):
        if each.weight:
            before = each.before if each.before is not None else each.weight
            meta = f"{each.meta_of_others} [pxeapp rollout {rollout}: weight {before}]".strip()
            words.setdefault(ring, {})[str(each.number)] = {"weight": 0, "meta": meta}
    return words


def to_restore(seen: Seen, mine: Mine) -> Words:
    """The weight of before for what we lowered; where somebody has given it another one meanwhile, that one stays."""
    words: Words = {}
    for ring, each in _devices(seen, mine):
        if each.before is not None:
            weight = each.weight or each.before
            words.setdefault(ring, {})[str(each.number)] = {"weight": weight, "meta": each.meta_of_others}
    return words


def left(seen: Seen, mine: Mine) -> dict[str, int]:
    """How many partitions are still assigned to its devices of weight 0, for each ring that has any."""
    found: dict[str, int] = {}
    for ring, each in _devices(seen, mine):
        if not each.weight and each.parts:
            found[ring] = found.get(ring, 0) + each.parts
    return found


def parts(seen: Seen, mine: Mine) -> int:
    """How many partitions are assigned to its devices, in all rings together."""
    return sum(each.parts for _, each in _devices(seen, mine))


def others_zero(seen: Seen, mine: Mine) -> list[str]:
    """Devices that somebody else has given the weight 0."""
    return [f"{ring} {each.name}" for ring, each in _devices(seen, mine) if not each.weight and each.before is None]


def lacking(seen: Seen, mine: Mine) -> str:
    """Why it cannot be drained, with the arithmetic; empty where it can."""
    for name, numbers in mine.items():
        ring = seen.rings[name]
        rest = sum(1 for each in ring.devices.values() if each.weight and each.number not in numbers)
        if rest < math.ceil(ring.replicas):
            return f"The ring {name} keeps {ring.replicas:g} copies; without this machine {rest} devices have a weight."
    return ""


def wait_s(seen: Seen, rings: Collection[str]) -> int:
    """Until partitions of all of these may move again."""
    return max((seen.rings[name].wait_s for name in rings if name in seen.rings), default=0)


def _devices(seen: Seen, mine: Mine) -> Iterator[tuple[str, Device]]:
    for ring, numbers in mine.items():
        known = seen.rings[ring].devices if ring in seen.rings else {}
        yield from ((ring, known[number]) for number in numbers if number in known)
