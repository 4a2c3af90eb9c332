"""Uploads: files that come in over HTTP piece by piece, and go on after a line that broke."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.software.content import space
from pxeapp.software.content.store import Store

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~:-]{0,199}")
MOST_PIECE = 16 * 1024**2  # bytes in one request
MOST = 64 * 1024**3


@dataclass(frozen=True, slots=True)
class Piece:
    """Where the bytes of one request belong: from `start` of a file of `size` bytes."""

    start: int
    length: int
    size: int


@dataclass(frozen=True, slots=True)
class Upload:
    """How far one is. `sha256` is there once it is whole: then it lies in the store, for a day unless it is used."""

    name: str
    size: int
    received: int
    sha256: str = ""


def content_range(said: str, length: int) -> Piece:
    """`bytes 0-1023/4096` of RFC 9110, 14.4; without it the body is all there is. Raises Invalid."""
    if not said:
        return Piece(0, length, length)
    found = re.fullmatch(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})", said)
    start, end, size = (int(each) for each in found.groups()) if found else (0, 0, 0)
    if not found or not start <= end < size or end - start + 1 != length:
        fix = f"Write: bytes START-END/SIZE, of a piece of at most {MOST_PIECE} bytes."
        problem = FieldProblem("Content-Range", f"{said[:80]!r} does not fit a body of {length} bytes.", fix)
        raise Invalid("Nothing was kept of this piece.", problems=[problem], hint=fix)
    return Piece(start, length, size)


def so_far(store: Store, name: str, size: int, *, owner: str) -> Upload:
    """Where to go on; what the sender has must still be what was sent before, which its hash tells in the end."""
    return Upload(name, size, min(store.partial(_key(name, size, owner)), size))


def take(store: Store, name: str, piece: Piece, chunks: Iterable[bytes], *, owner: str) -> Upload:
    """Add a piece at the end; the last one makes the file whole. The last that came may come again; the first one
    begins anew, for the sender's file may be another by now.

    Raises Conflict when it does not go on where the last one ended, Invalid for a name or a size that cannot be.
    """
    _check(name, piece)
    key = _key(name, piece.size, owner)
    path = store.partial_path(key)
    whole = path.with_suffix(".whole")
    if piece.start == 0:
        whole.unlink(missing_ok=True)
    elif piece.start + piece.length == piece.size and whole.exists() and store.has(sha256 := whole.read_text()):
        return Upload(name, piece.size, piece.size, sha256)  # the answer to the last piece was lost on its way
    if not path.exists():
        space.need(store.root, piece.size, for_what=name)
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"A piece of {name} is coming in just now.", hint="Wait for it.") from error
        here = os.fstat(out.fileno()).st_size
        if piece.start and not piece.start <= here <= piece.start + piece.length:
            raise Conflict(f"{here} bytes of {name} are here, so the next piece begins with byte {here}.")
        out.truncate(piece.start)
        received = 0
        for chunk in chunks:
            received += len(chunk)
            if received > piece.length:
                break
            out.write(chunk)
        if received != piece.length:
            out.truncate(piece.start)
            raise Invalid(f"The body had not the {piece.length} bytes that were said.", hint="Send the piece again.")
        out.flush()
        if piece.start + piece.length < piece.size:
            return Upload(name, piece.size, piece.start + piece.length)
        os.fsync(out.fileno())
        blob = store.add_file(path, move=True)
        whole.write_text(blob.sha256)
    return Upload(name, piece.size, piece.size, blob.sha256)


def _check(name: str, piece: Piece) -> None:
    if not NAME.fullmatch(name):
        fix = "Use letters, digits and . _ + ~ : - in a file's name."
        raise Invalid(str(FieldProblem("name", f"{name[:80]!r} is no file name.", fix)), hint=fix)
    if piece.size == 0 or piece.size > MOST or piece.length > MOST_PIECE:
        fix = f"Send a file of at most {space.shown(MOST)}, in pieces of at most {space.shown(MOST_PIECE)}."
        problem = FieldProblem("size", f"{piece.size} bytes in pieces of {piece.length} are not possible.", fix)
        raise Invalid(str(problem), problems=[problem], hint=fix)


def _key(name: str, size: int, owner: str) -> str:
    """Of one sender's file: two who send files of one name do not get into each other's way."""
    return hashlib.sha256(f"upload\0{owner}\0{name}\0{size}".encode()).hexdigest()
