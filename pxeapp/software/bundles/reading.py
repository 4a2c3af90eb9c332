"""Reading bundles, as of somebody who may mean us harm: who signed it, that it is whole, and where each blob lies.

Nothing is taken from a name: what is in a part, in which order and of which size, stands in the signed index, and a
part that has anything else is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pxeapp.errors import Forbidden, Invalid, NotFound
from pxeapp.software.bundles import index, ustar
from pxeapp.software.bundles.index import Index, Piece
from pxeapp.software.bundles.making import INDEX, KEY, PART, SIGNATURE, Head
from pxeapp.software.bundles.ustar import Member
from pxeapp.software.repositories import openpgp

CHUNK = 1024 * 1024
LARGEST_SIGNATURE = 64 * 1024
LIMITS = {INDEX: index.LARGEST, SIGNATURE: LARGEST_SIGNATURE, KEY: openpgp.MAX_KEYRING, PART: 3}
PART_NAME = re.compile(r"(?P<name>.+)\.(?P<number>[0-9]{3})-of-(?P<count>[0-9]{3})")


@dataclass(frozen=True, slots=True)
class Lies:
    """Bytes of a blob: in which file, from where on."""

    path: Path
    start: int
    piece: Piece


@dataclass(slots=True)
class Opened:
    """A bundle whose parts are all there, in order, each as its index says; its blobs are not hashed yet."""

    index: Index
    identity: str
    data: bytes
    signed_by: tuple[str, ...]
    paths: list[Path]
    blobs: dict[str, list[Lies]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Of all parts, in bytes."""
        return sum(path.stat().st_size for path in self.paths)

    def read(self, sha256: str, skip: int = 0) -> Iterator[bytes]:
        """A blob's bytes, behind the first `skip`."""
        for lies in self.blobs[sha256]:
            if skip >= lies.piece.length:
                skip -= lies.piece.length
                continue
            with lies.path.open("rb") as source:
                source.seek(lies.start + skip)
                left, skip = lies.piece.length - skip, 0
                while left:
                    chunk = source.read(min(CHUNK, left))
                    if not chunk:
                        raise Invalid(f"{lies.path.name} became shorter while it was read.", hint="Copy it again.")
                    left -= len(chunk)
                    yield chunk

    def verify(self, tell: Callable[[int], None] = lambda _done: None) -> None:
        """Hash every piece and every blob; raises Invalid for the first that is another one. `tell`: bytes so far."""
        done = 0
        for sha256, places in self.blobs.items():
            whole = hashlib.sha256()
            for lies in places:
                part = hashlib.sha256()
                for chunk in _only(lies):
                    part.update(chunk)
                    whole.update(chunk)
                    done += len(chunk)
                    tell(done)
                if part.hexdigest() != lies.piece.digest:
                    raise Invalid(f"{lies.path.name} is damaged: {lies.piece.member}.", hint="Copy this part again.")
            if whole.hexdigest() != sha256:
                raise Invalid(f"The bundle is not what it says: {sha256} is put together wrongly.")


def opened(paths: Sequence[Path], *, trusted: Callable[[str], bool] | None, known: str = "") -> Opened:
    """All parts of one bundle. Raises Forbidden when nobody who signed it is `trusted`; None: whoever it is.

    `known` is the identity that it must have, of one that was looked at before.
    """
    if not paths:
        raise NotFound("No part of a bundle was named.", hint="Name its files: NAME.001-of-007 and so on.")
    heads = [(_head(path), path) for path in paths]
    first, name = heads[0][0], heads[0][1].name
    signed_by = signers(first.index, first.signature, first.key, what=name)
    if trusted is not None and not any(map(trusted, signed_by)):
        raise Forbidden(
            f"{name} is signed by {signed_by[0]}, whom this appliance does not trust.",
            hint=f"Compare that with the appliance that made it (pxeapp repository key), then: --trust {signed_by[0]}",
        )
    if known and index.identity(first.index) != known:
        raise Invalid(f"{name} is not the bundle that was looked at before.", hint="Order the import anew.")
    plan = index.decode(first.index, what=name)
    by_number: dict[int, Path] = {}
    for head, path in heads:
        if head.index != first.index:
            raise Invalid(f"{path.name} belongs to another bundle than {name}.", hint="Name the parts of one bundle.")
        if by_number.setdefault(head.number, path) != path:
            raise Invalid(f"{path.name} and {by_number[head.number].name} are the same part.")
    count = len(plan.parts)
    wanted = range(1, count + 1)
    if missing := [index.part_name(plan.name, number, count) for number in wanted if number not in by_number]:
        raise NotFound(f"{', '.join(missing[:5])} of the bundle {plan.name} is missing.", hint="All parts are needed.")
    if extra := sorted(set(by_number) - set(wanted)):
        raise Invalid(f"{by_number[extra[0]].name} calls itself part {extra[0]} of {count}.")
    found = Opened(plan, index.identity(first.index), first.index, signed_by, [by_number[number] for number in wanted])
    for path, pieces in zip(found.paths, plan.parts, strict=True):
        _place(found, path, pieces)
    return found


def signers(data: bytes, signature: bytes, key: bytes, *, what: str) -> tuple[str, ...]:
    """Fingerprints of the keys that signed the index; raises Invalid where none of those beside it did."""
    return openpgp.signers(data, signature, key, name=f"The index of {what}")


def parts_beside(path: Path) -> list[Path]:
    """The parts of the bundle that a part, or a folder, is of: whoever names one means all."""
    if path.is_dir():
        return sorted(each for each in path.iterdir() if PART_NAME.fullmatch(each.name))
    named = PART_NAME.fullmatch(path.name)
    if named is None:
        found = sorted(path.parent.glob(f"{path.name}.[0-9][0-9][0-9]-of-[0-9][0-9][0-9]"))
        return found or [path]
    with suppress(OSError):
        pattern = f"{named['name']}.[0-9][0-9][0-9]-of-{named['count']}"
        return sorted(each for each in path.parent.iterdir() if each.match(pattern)) or [path]
    return [path]


@dataclass(frozen=True, slots=True)
class _Head(Head):
    number: int


def _head(path: Path) -> _Head:
    """The first files of a part, in their order and of a size that can be read."""
    try:
        with path.open("rb") as source:
            found: dict[str, bytes] = {}
            for name, member in zip(LIMITS, ustar.members(source, what=path.name), strict=False):
                if member.name != name or member.size > LIMITS[name]:
                    raise Invalid(f"{path.name} is no part of a bundle.", hint="Is it NAME.001-of-007?")
                found[name] = _bytes(source, member)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    if len(found) < len(LIMITS):
        raise Invalid(f"{path.name} is no part of a bundle.", hint="Is it NAME.001-of-007?")
    number = found[PART]
    if not number.isdigit():
        raise Invalid(f"{path.name} does not say which part it is.")
    return _Head(found[INDEX], found[SIGNATURE], found[KEY], int(number))


def _bytes(source: BinaryIO, member: Member) -> bytes:
    place = source.tell()
    source.seek(member.start)
    data = source.read(member.size)
    source.seek(place)
    return data


def _place(found: Opened, path: Path, pieces: Sequence[Piece]) -> None:
    """Where each piece lies; a part with anything more, less or in another order is refused."""
    with path.open("rb") as source:
        # One more than there may be: enough to see that there are too many, however many there are.
        found_here = islice(ustar.members(source, what=path.name), len(LIMITS) + len(pieces) + 1)
        members = list(found_here)[len(LIMITS) :]
    for number, piece in enumerate(pieces):
        member = members[number] if number < len(members) else None
        if member is None or (member.name, member.size) != (piece.member, piece.length):
            there = f"{member.name[:100]!r}" if member is not None else "nothing"
            raise Invalid(f"{path.name} has {there} where {piece.member} belongs.", hint="It was altered or cut off.")
        found.blobs.setdefault(piece.sha256, []).append(Lies(path, member.start, piece))
    if len(members) > len(pieces):
        raise Invalid(f"{path.name} holds {members[len(pieces)].name[:100]!r}, which its index does not name.")


def _only(lies: Lies) -> Iterator[bytes]:
    with lies.path.open("rb") as source:
        source.seek(lies.start)
        left = lies.piece.length
        while left:
            chunk = source.read(min(CHUNK, left))
            if not chunk:
                raise Invalid(f"{lies.path.name} became shorter while it was read.", hint="Copy it again.")
            left -= len(chunk)
            yield chunk
