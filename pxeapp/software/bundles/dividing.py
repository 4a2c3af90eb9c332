"""Which bytes of which blob lie in which part: one after the other, large blobs cut where a part is full. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.bundles import ustar
from pxeapp.software.bundles.index import MOST_PARTS, Piece

LARGEST_PIECE = 4 * 1024**3  # a header has eleven octal digits, which is 8 GiB
SMALLEST_PIECE = 64 * 1024  # what is left in a part below this stays empty


class Cut(NamedTuple):
    """Bytes of a blob."""

    sha256: str
    offset: int
    length: int


def divide(blobs: Iterable[tuple[str, int]], room: int) -> list[list[Cut]]:
    """The parts, each of which takes at most `room` bytes of archive; 0: all in one."""
    parts: list[list[Cut]] = [[]]
    left = room
    for sha256, size in blobs:
        offset = 0
        while True:
            length = min(size - offset, LARGEST_PIECE)
            if room and ustar.taken(length) > left:
                fits = (left - ustar.BLOCK) // ustar.BLOCK * ustar.BLOCK
                length = min(length, fits) if fits >= min(SMALLEST_PIECE, size - offset) and size > 0 else -1
            if length < 0:
                parts.append([])
                left = room
                continue
            parts[-1].append(Cut(sha256, offset, length))
            left -= ustar.taken(length)
            offset += length
            if offset >= size:
                break
    if len(parts) > MOST_PARTS:
        problem = FieldProblem("part_size", f"makes {len(parts)} parts.", f"Write a larger one: {MOST_PARTS} at most.")
        raise Invalid("The bundle cannot be made.", problems=[problem])
    return parts


def pieces(parts: Iterable[Iterable[Cut]], sizes: dict[str, int], hashed: Callable[[Cut], str]) -> list[list[Piece]]:
    """The same with the hash of each cut that is not a whole blob."""
    return [
        [
            Piece(
                sha256=cut.sha256, offset=cut.offset, length=cut.length,
                piece="" if cut.length == sizes[cut.sha256] else hashed(cut),
            )
            for cut in part
        ]
        for part in parts
    ]  # fmt: skip
