"""The front's access log, read as it grows: what was asked of each mirror, and what could not be given.

Where reading goes on is kept beside it, so that nothing is counted twice over a restart.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FROM_CACHE = frozenset({"HIT", "STALE", "UPDATING", "REVALIDATED"})
MAX_READ = 8 * 1024 * 1024
MAX_PATH = 500


@dataclass(slots=True)
class Asked:
    """What was asked of one upstream's mirror."""

    numbers: Counter[str] = field(default_factory=Counter)  # by the names of UpstreamDay's columns
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)  # (path, why)


@dataclass(frozen=True, slots=True)
class Place:
    """How far the log was read: which file it was, and how much of it."""

    inode: int = 0
    offset: int = 0


def summed(lines: Iterable[bytes]) -> dict[str, dict[str, Asked]]:
    """What lines of the log come to, by day and upstream; a line that is none of ours is left out."""
    found: dict[str, dict[str, Asked]] = defaultdict(lambda: defaultdict(Asked))
    for line in lines:
        try:
            said = json.loads(line)
            name, day = said["mirror"], said["at"][:10]
            status = int(said["status"])
        except (ValueError, KeyError, TypeError):
            continue
        if name:
            _count(found[day][name], said, status)
    return found


def _count(asked: Asked, said: dict[str, Any], status: int) -> None:
    numbers = asked.numbers
    numbers["requests"] += 1
    index, cache = said.get("index", ""), said.get("cache", "")
    if status >= 400:
        numbers["absent" if status in (404, 504) else "errors"] += 1
        why = {404: "absent", 504: "offline"}.get(status, "upstream")
        if status in (404, 502, 504) and said.get("file"):
            asked.missing[said["file"][:MAX_PATH], why] += 1
        return
    size = _number(said.get("bytes"))
    if index in ("HIT", "MISS"):
        numbers["index_hits" if index == "HIT" else "index_misses"] += 1
        numbers["bytes_from_cache"] += size if index == "HIT" else 0
    elif cache in FROM_CACHE:
        numbers["hits"] += 1
        numbers["bytes_from_cache"] += size
        # What a question whether it is still the same has cost; zero for a plain hit.
        numbers["bytes_from_upstream"] += _number(said.get("received"))
    else:
        numbers["misses"] += 1
        numbers["bytes_from_upstream"] += _number(said.get("received"))


def _number(said: Any) -> int:
    """nginx writes one number, or one for each server that it tried: `12, 0 : 7`."""
    return sum(map(int, re.findall(r"[0-9]+", str(said or ""))))


class Log:
    """The log and where reading goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.old = path.with_name(f"{path.name}.1")
        self._kept = path.with_name(f"{path.name}.read")
        self._place = self._read_place()

    def read(self) -> tuple[list[bytes], Place]:
        """Whole lines that are new, at most a few megabytes of them, and the place behind them."""
        inode = _inode(self.path)
        if self._place.inode not in (0, inode) and _inode(self.old) == self._place.inode:
            lines, offset = _lines(self.old, self._place.offset)
            if lines:
                return lines, Place(self._place.inode, offset)
        start = self._place.offset if self._place.inode == inode else 0
        lines, offset = _lines(self.path, start)
        return lines, Place(inode, offset)

    def was_read(self, place: Place) -> None:
        """What was read is counted; reading goes on behind it."""
        if place != self._place:
            partial = self._kept.with_suffix(".part")
            partial.write_text(f"{place.inode} {place.offset}")
            partial.replace(self._kept)
            self._place = place

    @property
    def is_being_read(self) -> bool:
        """Whether nothing of an older one is left, so that this one may become the older one."""
        return self._place.inode == _inode(self.path)

    def rotate(self) -> None:
        """Put it aside: one older file is kept. nginx writes into it until it is told to open the new one."""
        self.path.replace(self.old)

    def _read_place(self) -> Place:
        try:
            inode, offset = map(int, self._kept.read_text().split())
        except (OSError, ValueError):
            # A log without a mark is from before there were statistics; its past is not counted.
            return Place(_inode(self.path), self.path.stat().st_size) if self.path.exists() else Place()
        return Place(inode, offset)


def _lines(path: Path, offset: int) -> tuple[list[bytes], int]:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            if file.tell() < offset:  # somebody has emptied it
                offset = 0
            file.seek(offset)
            content = file.read(MAX_READ)
    except OSError:
        return [], offset
    whole = content.rfind(b"\n") + 1
    if not whole and len(content) == MAX_READ:  # no line is that long
        return [], offset + MAX_READ
    return content[:whole].splitlines(), offset + whole


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
