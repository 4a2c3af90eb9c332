"""Plain ustar: regular files one after the other, nothing else. Anything can read it; we read nothing else than that.

Our own reader, since what is imported may be hostile: a general one follows links, long names and sparse maps, and
reads headers of any length into memory before anybody is asked.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pxeapp.errors import Invalid

BLOCK = 512
END = bytes(2 * BLOCK)
_MAGIC = b"ustar\x0000"
_ZERO = bytes(BLOCK)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: its bytes lie from `start` on."""

    name: str
    size: int
    start: int

    @property
    def end(self) -> int:
        """Where the next header lies."""
        return self.start + padded(self.size)


def padded(size: int) -> int:
    """What a file of this size takes, without its header."""
    return -(-size // BLOCK) * BLOCK


def taken(size: int) -> int:
    """What a file of this size takes, with its header."""
    return BLOCK + padded(size)


def header(name: str, size: int) -> bytes:
    """The same for the same file, always: no time, no owner."""
    about = tarfile.TarInfo(name)
    about.size, about.mode = size, 0o444
    return about.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def members(source: BinaryIO, *, what: str) -> Iterator[Member]:
    """Every file of an archive, from its headers alone. Raises Invalid for whatever is not as we write it."""
    size = source.seek(0, 2)
    place = 0
    while True:
        source.seek(place)
        head = source.read(BLOCK)
        if head == _ZERO:
            break
        found = _member(head, place + BLOCK, what=what)
        if found.end > size:
            raise Invalid(f"{what} is cut off within {found.name}.", hint="Copy it again.")
        source.seek(found.start + found.size)
        if source.read(found.end - found.start - found.size).strip(b"\0"):
            raise Invalid(f"{what} is damaged behind {found.name}.", hint="Copy it again.")
        yield found
        place = found.end
    if size - place != len(END) or source.read() != _ZERO:
        raise Invalid(f"{what} goes on behind its end, or ends too soon.", hint="Copy it again.")


def _member(head: bytes, start: int, *, what: str) -> Member:
    if len(head) < BLOCK:
        raise Invalid(f"{what} is cut off.", hint="Copy it again.")
    if head[257:265] != _MAGIC:
        raise Invalid(f"{what} is no bundle: it is no plain archive at byte {start - BLOCK}.")
    try:
        said = int(head[148:154].rstrip(b" \0") or b"0", 8)
        size = int(head[124:135], 8)
        name = head[:100].rstrip(b"\0").decode("ascii")
    except ValueError:
        raise Invalid(f"{what} has a damaged header at byte {start - BLOCK}.", hint="Copy it again.") from None
    if said != sum(head[:148]) + 8 * 32 + sum(head[156:]):
        raise Invalid(f"{what} has a damaged header at byte {start - BLOCK}.", hint="Copy it again.")
    # A link, a folder, a device, a header for another reader, or a name in two pieces: none of it is ours.
    if head[156:157] != b"0" or head[345:500].strip(b"\0"):
        raise Invalid(
            f"{what} holds something that is no plain file: {name[:80]!r}.", hint="It was not made by pxeapp."
        )
    return Member(name, size, start)
