"""The shape of a machine's files: the same text with the machine's own names and addresses replaced by stand-ins.

A thousand machines of one role differ in host name, MAC, address, disk serial. Each of these was validated by its own
pattern before it came into the specification, so that a verdict over the shape holds for all of them. A stand-in is a
valid value of the same kind: an address of the same network, a host name of the same length.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import string
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pxeapp.answers.spec import AnswerSpec

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
DISK = re.compile(r"(?:/dev/)?disk/by-(?:id|path)/[A-Za-z0-9._:+-]+")
ADDRESS = re.compile(r"[0-9a-f.:]+/[0-9]{1,3}")
WORD = frozenset(string.ascii_letters + string.digits + "_")
NAMED = ("serial", "wwn")  # a disk's own numbers, wherever a layout names them
FEWEST = 4  # characters of a number that is surely nothing else


class Shape:
    """The stand-ins for one machine."""

    def __init__(self, spec: AnswerSpec) -> None:
        plain: dict[str, str] = {}
        addresses: dict[str, str] = {}
        for name, value in _values(spec, ""):
            if MAC.fullmatch(value):
                stand_in = f"02:00:00:00:{len(plain) // 256:02x}:{len(plain) % 256:02x}"
                plain.setdefault(value, stand_in)
                plain.setdefault(value.replace(":", "-"), plain[value].replace(":", "-"))
            elif DISK.fullmatch(value) or (name in NAMED and len(value) >= FEWEST):
                head, _, last = value.rpartition("/")
                stand_in = f"disk{len(plain)}".ljust(len(last), "x")[: max(len(last), 6)]
                plain.setdefault(value, f"{head}/{stand_in}" if head else stand_in)
            elif ADDRESS.fullmatch(value):
                _stand_for(value, addresses)
        self._plain = sorted(plain.items(), key=lambda pair: -len(pair[0]))
        bounded = {spec.hostname: _name(spec.hostname), **addresses}
        self._bounded = [(*_alone(old), new) for old, new in bounded.items()]
        self._back = [(new, old) for old, new in (*bounded.items(), *plain.items())]

    def of(self, text: str) -> str:
        """The text with stand-ins."""
        for old, new in self._plain:
            text = text.replace(old, new)
        for pattern, before, new in self._bounded:
            text = re.sub(pattern, _unless(before, new), text)
        return text

    def back(self, words: str) -> str:
        """What is said of the shape, said of this machine."""
        for new, old in self._back:
            words = words.replace(new, old)
        return words


def _unless(before: frozenset[str], new: str) -> Callable[[re.Match[str]], str]:
    def replaced(found: re.Match[str]) -> str:
        start = found.start()
        return found[0] if start and found.string[start - 1] in before else new

    return replaced


def _alone(value: str) -> tuple[str, frozenset[str]]:
    """A pattern for the value where no longer one begins with it (node12 with node1), and what may not stand before it.

    The pattern begins with the value's own letters: so it is found as fast as a word is.
    """
    escaped = re.escape(value)
    if ":" in value:
        return rf"{escaped}(?![\w:]|\.\d)", WORD | {":", "."}
    if "." in value:
        return rf"{escaped}(?!\w|\.\d)", WORD | {".", "-"}
    return rf"{escaped}(?![\w-])", WORD | {"-"}


def _name(hostname: str) -> str:
    return "h" + "x" * (len(hostname) - 1)


def _stand_for(value: str, addresses: dict[str, str]) -> None:
    """The highest addresses of the network stand for those of machines; one that is too small stays as it is."""
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        return
    ip = str(interface.ip)
    if interface.network.num_addresses < 16 or ip in addresses:
        return
    addresses[ip] = str(interface.network[-3 - len(addresses) % 8])


def _values(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every text of the specification, with the name of the field that it stands in."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, (list, tuple, frozenset, set)):
        for each in value:
            yield from _values(each, name)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _values(each, str(key))
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _values(getattr(value, field.name), field.name)
