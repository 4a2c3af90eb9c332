"""What goes over the socket between us and a renderer: a kind, a length, the bytes. Nothing else is ever read."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

HEADER = struct.Struct("!cI")

# From us.
RENDER, CHECK, SOURCE = b"r", b"c", b"s"
# From the renderer: a template that it needs, the text, or what is wrong.
NEED, TEXT, WRONG = b"n", b"t", b"w"
# Not a kind, but how faulthandler begins when the computing time is used up (see inside.py).
DUMP = b"Stack"
assert len(DUMP) == HEADER.size  # noqa: S101 - or it could not be told from a header


def frame(kind: bytes, payload: bytes) -> bytes:
    """One message."""
    return HEADER.pack(kind, len(payload)) + payload


def read(descriptor: int) -> tuple[bytes, bytes]:
    """The next message on a blocking descriptor; raises EOFError at its end."""
    kind, length = HEADER.unpack(_exactly(HEADER.size, lambda count: os.read(descriptor, count)))
    return kind, _exactly(length, lambda count: os.read(descriptor, count))


def write(descriptor: int, kind: bytes, payload: bytes) -> None:
    """Write all of a message."""
    left = memoryview(frame(kind, payload))
    while left:
        left = left[os.write(descriptor, left) :]


def _exactly(count: int, more: Callable[[int], bytes]) -> bytes:
    pieces = []
    while count:
        piece = more(min(count, 1 << 16))
        if not piece:
            raise EOFError
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
