"""Keeping the exact bytes that a machine was given, with what they were made of.

When forty racks boot at once this is done for each of their files, so it must cost next to nothing. The files of a role
are almost the same on each machine: the first one is kept as the *base*, and each is kept as what differs from it (zlib
with the base as its dictionary), a few hundred bytes instead of ten thousand. Both are sealed with the appliance's key:
the exact text holds tokens and secrets. What operators see is masked when they look (see given.py).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pxeapp.answers import render
from pxeapp.templates.versions import Version
from pxeapp.vault import Vault

# A base is used for this long and then made anew; one that no record needs is deleted after twice that time, when no
# process can still be using it.
FRESH = dt.timedelta(hours=12)
UNUSED = 2 * FRESH
BASES = 512  # of a process at most: kinds x roles x versions of templates
LEVEL, RAW, MEMORY = 1, -15, 6  # the least memory that zlib is still fast with: it is copied for each text


@dataclass(slots=True)
class Base:
    """What the records of one kind of file are written against."""

    sha256: str
    sealed: bytes
    at: dt.datetime
    compressor: Any = field(repr=False)
    kept: bool = False  # committed: until then every record brings it along


class Kept(NamedTuple):
    """A file as it goes into the database."""

    kind: str
    sha256: str
    size: int
    base: Base
    record: bytes


class Keeper:
    """Makes records; one per process, used by all of its threads."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._bases: dict[tuple[Any, ...], Base] = {}

    def keep(
        self,
        kind: str,
        text: str,
        *,
        of: tuple[str, str],
        made_from: Mapping[str, Version],
        variables: Mapping[str, Any],
        secrets: Sequence[str] = (),
        now: dt.datetime,
    ) -> Kept:
        """The record of a file; `of` is its release and role. Nothing is written yet."""
        content = text.encode()
        sha256 = hashlib.sha256(content).hexdigest()
        head = json.dumps([variables, secrets], default=_plain)
        base = self._base((kind, *of, tuple(made_from.items())), head, text, secrets, now)
        compressor = base.compressor.copy()
        packed = compressor.compress(head.encode() + b"\n" + content) + compressor.flush()
        return Kept(kind, sha256, len(content), base, self._vault.seal(packed, belongs_to=f"{kind} {sha256}"))

    def _base(self, key: tuple[Any, ...], head: str, text: str, secrets: Sequence[str], now: dt.datetime) -> Base:
        base = self._bases.get(key)
        if base is None or not base.at <= now < base.at + FRESH:
            if len(self._bases) >= BASES:
                self._bases.clear()
            _kind, release, role, made_from = key
            # Masked: a base outlives the machine that it was made from.
            said = render.mask_values(f"{head}\n{text}", secrets)
            base = self._bases[key] = _made(self._vault, said, release, role, dict(made_from), now)
        return base


class Opened(NamedTuple):
    """A record as it was made."""

    text: str
    variables: dict[str, Any]
    secrets: list[str]
    made_from: dict[str, Version]


def open_record(vault: Vault, kind: str, sha256: str, record: bytes, base: tuple[str, bytes]) -> Opened:
    """The bytes back; raises Undecryptable, or ValueError where they are not what their hash says."""
    versions, said = _base_of(vault, *base)
    unpacked = zlib.decompressobj(RAW, said).decompress(vault.unseal(record, belongs_to=f"{kind} {sha256}"))
    head, _, content = unpacked.partition(b"\n")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"The {kind} that was kept does not have the hash that is on record.")
    variables, secrets = json.loads(head)
    return Opened(content.decode(), variables, secrets, {name: Version(*each) for name, each in versions.items()})


def _made(vault: Vault, said: str, release: str, role: str, made_from: Mapping[str, Version], now: dt.datetime) -> Base:
    about = json.dumps({"release": release, "role": role, "templates": made_from})
    content = zlib.compress(about.encode() + b"\n" + said.encode(), 6)
    sha256 = hashlib.sha256(content).hexdigest()
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW, MEMORY, zlib.Z_DEFAULT_STRATEGY, said.encode())
    return Base(sha256, vault.seal(content, belongs_to=f"base {sha256}"), now, compressor)


def _base_of(vault: Vault, sha256: str, sealed: bytes) -> tuple[dict[str, Any], bytes]:
    about, _, said = zlib.decompress(vault.unseal(sealed, belongs_to=f"base {sha256}")).partition(b"\n")
    return json.loads(about)["templates"], said


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, (set, frozenset)) else str(value)
