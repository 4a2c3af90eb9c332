"""Content as DATA packets, packed once per (file, block size) and then only sliced.

A hundred machines fetch the same loader with the same block size: the header of each block is written once,
and a window of blocks is one contiguous slice, which is what UDP segmentation offload wants.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from pxeapp.boot.tftp.packets import DATA
from pxeapp.boot.tftp.replies import Data, File

HEADER = 4
CACHE_BYTES = 256 * 1024 * 1024
PACK_LIMIT = 96 * 1024 * 1024  # larger files are packed window by window
NETASCII_LIMIT = 4 * 1024 * 1024


class Unreadable(Exception):
    """The file cannot be served; the text is for our log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a file the same file: a replaced or rewritten one is packed anew."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Packed:
    """Content in blocks of one size. Block n (from 1) is `packets(n, 1)`."""

    __slots__ = ("_buffer", "blksize", "blocks", "size")

    def __init__(self, content: bytes, blksize: int) -> None:
        self.size = len(content)
        self.blksize = blksize
        # The last block is shorter than the others, empty if need be: that is how a client knows the end.
        self.blocks = self.size // blksize + 1
        buffer = bytearray(self.size + self.blocks * HEADER)
        step = blksize + HEADER
        for index in range(self.blocks):
            start = index * step
            struct.pack_into("!HH", buffer, start, DATA, (index + 1) & 0xFFFF)
            piece = content[index * blksize : (index + 1) * blksize]
            buffer[start + HEADER : start + HEADER + len(piece)] = piece
        self._buffer = memoryview(bytes(buffer))

    def packets(self, first: int, count: int) -> memoryview:
        """The packets of `count` blocks from `first` on, end to end."""
        step = self.blksize + HEADER
        return self._buffer[(first - 1) * step : (first - 1 + count) * step]

    @property
    def weight(self) -> int:
        """Bytes that it takes in memory."""
        return len(self._buffer)

    def close(self) -> None:
        """Nothing to close: it is memory."""


class Large:
    """The same over a file that is too large to keep: each window is read and packed when it is sent."""

    __slots__ = ("_descriptor", "blksize", "blocks", "size")

    def __init__(self, descriptor: int, size: int, blksize: int) -> None:
        self._descriptor = os.dup(descriptor)
        self.size = size
        self.blksize = blksize
        self.blocks = size // blksize + 1

    def packets(self, first: int, count: int) -> memoryview:
        """The packets of `count` blocks from `first` on, end to end."""
        content = os.pread(self._descriptor, count * self.blksize, (first - 1) * self.blksize)
        pieces = []
        for index in range(count):
            piece = content[index * self.blksize : (index + 1) * self.blksize]
            pieces.append(struct.pack("!HH", DATA, (first + index) & 0xFFFF) + piece)
            if len(piece) < self.blksize:
                break
        return memoryview(b"".join(pieces))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


Content = Packed | Large


class Cache:
    """Packed files, the least recently used thrown out first."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[Identity, int], Packed] = OrderedDict()
        self._weight = 0

    def content(self, reply: File | Data, *, blksize: int, netascii: bool = False) -> Content:
        """The reply in blocks; raises Unreadable."""
        if isinstance(reply, Data):
            return Packed(_netascii(reply.content) if netascii else reply.content, blksize)
        descriptor = _open(reply)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(f"{reply.path} is not a regular file")
            if netascii:
                if status.st_size > NETASCII_LIMIT:
                    raise Unreadable(f"{reply.path} is too large for netascii")
                return Packed(_netascii(_read(descriptor, status.st_size)), blksize)
            if status.st_size > PACK_LIMIT:
                return Large(descriptor, status.st_size, blksize)
            return self._packed(descriptor, status, blksize)
        finally:
            os.close(descriptor)

    def _packed(self, descriptor: int, status: os.stat_result, blksize: int) -> Packed:
        key = (Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns), blksize)
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
            return found
        packed = Packed(_read(descriptor, status.st_size), blksize)
        self._held[key] = packed
        self._weight += packed.weight
        while self._weight > self._limit and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._weight -= dropped.weight
        return packed


def _open(reply: File) -> int:
    """Open without blocking on a FIFO, and only below its root once every link is followed."""
    try:
        path = Path(os.path.realpath(reply.path, strict=True))
        if reply.root is not None and not path.is_relative_to(os.path.realpath(reply.root)):
            raise Unreadable(f"{reply.path} leads out of {reply.root}")
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{reply.path}: {error}") from None


def _read(descriptor: int, size: int) -> bytes:
    pieces, offset = [], 0
    while offset < size:
        piece = os.pread(descriptor, size - offset, offset)
        if not piece:
            raise Unreadable("the file became shorter while it was read")
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def _netascii(content: bytes) -> bytes:
    """RFC 764's line ends: LF becomes CR LF, a lone CR becomes CR NUL."""
    return content.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
