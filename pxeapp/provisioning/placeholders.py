"""A machine's own values taken out of a text, so that the same change looks the same on two hundred machines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pxeapp.machines import mac as macs
from pxeapp.machines.models import Machine

MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
ADDRESS = re.compile(
    r"(?<![\w.:])(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-f]{1,4}:[0-9a-f:]{2,40})(?![\w:])", re.IGNORECASE
)
WORD = "A-Za-z0-9"  # what may not stand beside a value, or it is part of another one


class Own:
    """The values of one machine, and what stands for each: `<HOSTNAME>`, `<MAC>`, `<MAC2>`, `<DISK_SERIAL>` ..."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._stands_for: dict[str, str] = {}
        counts: dict[str, int] = {}
        for what, value in values:
            if value in self._stands_for:
                continue
            counts[what] = counts.get(what, 0) + 1
            name = f"<{what}{counts[what] if counts[what] > 1 else ''}>"
            self._stands_for[value] = name
            if what == "MAC":
                self._stands_for[macs.dashed(value)] = name
                self._stands_for[value.replace(":", "")] = name
        longest_first = sorted(self._stands_for, key=len, reverse=True)
        words = "|".join(map(re.escape, longest_first))
        self._found = re.compile(rf"(?<![{WORD}])(?:{words})(?![{WORD}])", re.IGNORECASE) if words else None

    def out_of(self, text: str) -> str:
        """The text with placeholders."""
        return self._found.sub(lambda match: self._stands_for[match[0].lower()], text) if self._found else text


def own_values(machine: Machine) -> list[tuple[str, str]]:
    """What is this machine's and nobody else's, in an order that is the same for machines of the same make."""
    return [(what, value.lower()) for what, value in _values(machine) if value]


def _values(machine: Machine) -> Iterator[tuple[str, str]]:
    yield "HOSTNAME", machine.name
    yield "MAC", machine.mac
    yield "SERIAL", machine.serial or ""
    yield "UUID", machine.uuid or ""
    for card in machine.interfaces:
        yield "MAC", card.mac
        yield "ADDRESS", card.address or ""
    for disk in machine.disks:
        if disk.path.startswith("disk/by-id/"):  # by-path is the same in all machines of a make
            yield "DISK", disk.path.removeprefix("disk/by-id/")
        yield "DISK_SERIAL", disk.serial or ""
        yield "DISK_WWN", (disk.wwn or "").lower().removeprefix("0x")
    for text in _texts(machine.vars):
        yield from (("MAC", found) for found in MAC.findall(text))
        yield from (("ADDRESS", found) for found in ADDRESS.findall(text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(key)
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
