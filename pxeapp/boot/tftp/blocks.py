"""Content as DATA packets, packed once per (file, block size) and then only handed out.

A hundred machines fetch the same loader with the same block size: the header of each block is written once, and with
it the acknowledgement of that block, so that one look at what a client sends tells whether it is the next.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pxeapp.boot.tftp.packets import ACK, DATA
from pxeapp.boot.tftp.replies import Data, File

HEADER = 4  # bytes before a block's content
# All packed content, in use or not, stays below this: each block size that somebody asks for is a copy of the file.
CACHE_BYTES = 32 * 1024 * 1024
PACK_LIMIT = 8 * 1024 * 1024  # loaders are smaller; larger files are packed window by window
PACK_BLOCKS = 16_384  # more are not packed in advance: it would hold up everybody else
NETASCII_LIMIT = 4 * 1024 * 1024
BLOCK_BYTES = 168  # what a block takes beside its content: the objects, the header, the acknowledgement
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_HEADER = struct.Struct("!HH")
Step = tuple[bytes, bytes | None]


class Unreadable(Exception):
    """The file cannot be served, or no further; the text is for our log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a file the same file: a replaced or rewritten one is packed anew."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Packed:
    """Content in blocks of one size. Block n (from 1) is `packets(n, 1)`, or the nth of `steps`."""

    __slots__ = ("_packets", "blksize", "blocks", "size", "steps", "users")

    def __init__(self, content: bytes, blksize: int) -> None:
        self.size = len(content)
        self.blksize = blksize
        # The last block is shorter than the others, empty if need be: that is how a client knows the end.
        self.blocks = self.size // blksize + 1
        # For lock-step: each block's packet, and the acknowledgement of it that asks for the next one. The last one's
        # is None: what ends a transfer takes a closer look.
        self.steps: list[Step] = []
        self._packets: list[bytes] = []  # the same objects; a window of them is a slice
        for number in range(1, self.blocks + 1):
            packet = _HEADER.pack(DATA, number & 0xFFFF) + content[(number - 1) * blksize : number * blksize]
            self._packets.append(packet)
            follows = number < self.blocks
            self.steps.append((packet, _HEADER.pack(ACK, number & 0xFFFF) if follows else None))
        self.users = 1

    def packets(self, first: int, count: int) -> list[bytes]:
        """The packets of `count` blocks from `first` on."""
        return self._packets[first - 1 : first - 1 + count]

    @property
    def weight(self) -> int:
        """Bytes that it takes in memory."""
        return _weight(self.size, self.blksize)

    def close(self) -> None:
        """One transfer less uses it; the cache may throw it out when none does."""
        self.users -= 1


class Large:
    """The same over a file that is not kept in memory: each window is read and packed when it is sent."""

    __slots__ = ("_descriptor", "_identity", "blksize", "blocks", "size")
    steps: Sequence[Step] = ()  # nothing is packed in advance

    def __init__(self, descriptor: int, identity: Identity, blksize: int) -> None:
        self._descriptor = os.dup(descriptor)
        self._identity = identity
        self.size = identity.size
        self.blksize = blksize
        self.blocks = identity.size // blksize + 1

    def packets(self, first: int, count: int) -> list[bytes]:
        """The packets of `count` blocks from `first` on; raises Unreadable when the file has changed.

        A short read must never go out: a client takes a short block for the end and boots half a kernel.
        """
        start = (first - 1) * self.blksize
        wanted = min(count * self.blksize, self.size - start)
        try:
            content = os.pread(self._descriptor, wanted, start)
            same = _identity(os.fstat(self._descriptor)) == self._identity
        except OSError as error:
            raise Unreadable(f"it cannot be read any more: {error.strerror}") from None
        if len(content) != wanted or not same:
            raise Unreadable("it changed while it was sent")
        pieces = []
        for index in range(count):
            piece = content[index * self.blksize : (index + 1) * self.blksize]
            pieces.append(_HEADER.pack(DATA, (first + index) & 0xFFFF) + piece)
            if len(piece) < self.blksize:
                break
        return pieces

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


Content = Packed | Large


class Cache:
    """Packed files, the least recently used thrown out first; what a transfer still uses counts, too."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[Identity, int, bool], Packed] = OrderedDict()
        self.weight = 0

    def content(self, reply: File | Data, *, blksize: int, netascii: bool = False) -> Content:
        """The reply in blocks, to be closed after use; raises Unreadable."""
        if isinstance(reply, Data):
            return Packed(_netascii(reply.content) if netascii else reply.content, blksize)
        if reply.root is None and not netascii and (found := self._known(reply.path, blksize)):
            return found
        descriptor = _open(reply)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(f"{reply.path} is not a regular file")
            if netascii:
                return self._converted(descriptor, _identity(status), blksize)
            return self._packed_or_large(descriptor, _identity(status), blksize)
        except OSError as error:
            raise Unreadable(f"{reply.path}: {error}") from None
        finally:
            os.close(descriptor)

    def _known(self, path: Path, blksize: int) -> Packed | None:
        """What is packed already and has not been replaced since: one look at it, where opening it takes many."""
        try:
            return self._find((_identity(path.stat()), blksize, False))
        except (OSError, ValueError):
            return None

    def _packed_or_large(self, descriptor: int, identity: Identity, blksize: int) -> Content:
        key = (identity, blksize, False)
        if found := self._find(key):
            return found
        blocks = identity.size // blksize + 1
        if identity.size > PACK_LIMIT or blocks > PACK_BLOCKS or not self._room(_weight(identity.size, blksize)):
            return Large(descriptor, identity, blksize)
        return self._keep(key, Packed(_read(descriptor, identity.size), blksize))

    def _converted(self, descriptor: int, identity: Identity, blksize: int) -> Packed:
        """Netascii is for people who try a client by hand: their file has to fit into memory."""
        key = (identity, blksize, True)
        if found := self._find(key):
            return found
        # Converted, no file is more than twice as long.
        if identity.size > NETASCII_LIMIT or identity.size * 2 // blksize > PACK_BLOCKS:
            raise Unreadable("it is too large for netascii")
        if not self._room(_weight(identity.size * 2, blksize)):
            raise Unreadable("too many other transfers use netascii now")
        return self._keep(key, Packed(_netascii(_read(descriptor, identity.size)), blksize))

    def _find(self, key: tuple[Identity, int, bool]) -> Packed | None:
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
            found.users += 1
        return found

    def _keep(self, key: tuple[Identity, int, bool], packed: Packed) -> Packed:
        self._held[key] = packed
        self.weight += packed.weight
        return packed

    def _room(self, weight: int) -> bool:
        """Whether this much more fits, after what nobody uses has gone."""
        if self.weight + weight > self._limit:
            for key in [key for key, packed in self._held.items() if packed.users == 0]:
                self.weight -= self._held.pop(key).weight
                if self.weight + weight <= self._limit:
                    break
        return self.weight + weight <= self._limit


def _weight(size: int, blksize: int) -> int:
    """Bytes in memory of a file packed in blocks of this size."""
    return size + (size // blksize + 1) * BLOCK_BYTES


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _open(reply: File) -> int:
    """Open without blocking on a FIFO, and only below its root once every link is followed."""
    try:
        if reply.root is None:
            return os.open(reply.path, _READ)
        path = Path(os.path.realpath(reply.path, strict=True))
        if not path.is_relative_to(os.path.realpath(reply.root)):
            raise Unreadable(f"{reply.path} leads out of {reply.root}")
        return os.open(path, _READ | os.O_NOFOLLOW)
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
