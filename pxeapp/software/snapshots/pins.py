"""Pins: what somebody says of which snapshot they want, and what that makes of an address. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.repositories.models import RESERVED

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
CHANNEL = "channel:"
KEY = "snapshot"  # among a release's settings, and among variables
FIX = "Write a snapshot's name, or channel:NAME. See: pxeapp snapshot list"


@dataclass(frozen=True, slots=True)
class Pin:
    """To one snapshot, or to whatever a channel leads to."""

    name: str
    channel: bool = False

    def __str__(self) -> str:
        return f"{CHANNEL}{self.name}" if self.channel else self.name

    @property
    def folder(self) -> str:
        """Where its repositories lie, below /repo/."""
        return f"channels/{self.name}" if self.channel else f"snapshots/{self.name}"

    @property
    def shown(self) -> str:
        """As a sentence names it."""
        return f"channel {self.name}" if self.channel else f"snapshot {self.name}"


def parse(text: object, *, field: str = KEY) -> Pin | None:
    """The pin that a text says; None for an empty one. Raises Invalid with the field."""
    if text is None or text == "":
        return None
    channel = isinstance(text, str) and text.startswith(CHANNEL)
    name = text.removeprefix(CHANNEL) if isinstance(text, str) else ""
    if not NAME.fullmatch(name):
        problem = FieldProblem(field, f"{str(text)[:80]!r} is neither a snapshot nor a channel.", FIX)
        raise Invalid("The pin cannot be used.", problems=[problem])
    return Pin(name, channel)


def pinned(url: str, node_url: str, pin: Pin | None) -> str:
    """An address as the pin makes it: a repository of ours becomes the pinned one, everything else stays."""
    if pin is None or (found := _repository(url, node_url)) is None:
        return url
    name, rest = found
    return f"{node_url}/repo/{pin.folder}/{name}{rest}"


def repositories(urls: Iterable[str], node_url: str) -> set[str]:
    """Which repositories of ours these addresses lead to."""
    return {found[0] for url in urls if (found := _repository(url, node_url)) is not None}


def asked(urls: Iterable[str], node_url: str) -> Iterator[tuple[Pin, str]]:
    """Which repository of which snapshot or channel these addresses lead to."""
    for url in urls:
        words = _below(url, node_url).split("/")
        if len(words) >= 3 and words[0] in ("snapshots", "channels"):
            yield Pin(words[1], words[0] == "channels"), words[2]


def _repository(url: str, node_url: str) -> tuple[str, str] | None:
    """The name of our repository that an address leads to, and what stands behind it."""
    name, slash, rest = _below(url, node_url).partition("/")
    return (name, slash + rest) if name and name not in RESERVED else None


def _below(url: str, node_url: str) -> str:
    base = f"{node_url}/repo/"
    return url[len(base) :] if url.startswith(base) else ""
