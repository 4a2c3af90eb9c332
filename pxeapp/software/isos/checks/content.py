"""A medium's files as the checks look at them, and what they find."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pxeapp.errors import Invalid
from pxeapp.software.content.store import CHUNK, Store
from pxeapp.software.isos.image import refused
from pxeapp.software.isos.medium import Medium
from pxeapp.software.isos.taking import Taken
from pxeapp.software.repositories import openpgp

# sha is how createrepo called SHA-1 when there was no other.
ALGORITHMS = {"sha256": "sha256", "sha512": "sha512", "sha384": "sha384", "sha1": "sha1", "sha": "sha1", "md5": "md5"}
MAX_INDEX = 256 * 1024 * 1024
FIX = "The medium is damaged or was altered: download it again and compare its SHA-256."


@dataclass(frozen=True, slots=True)
class Finding:
    """Something on the medium that vouches for something, and whether that could be verified."""

    what: str
    verified: bool
    says: str


@dataclass(frozen=True, slots=True)
class Content:
    """A medium that was read: `files` by every name, `dropped` links that were left out, and the keys known here."""

    name: str  # the image's, for sentences
    medium: Medium
    files: Mapping[str, Taken]
    dropped: tuple[str, ...]
    store: Store
    keyring: bytes = b""

    def read(self, path: str) -> bytes:
        """A file that was kept; raises Invalid for one that is larger than any of its kind."""
        file = self.files[path]
        if file.size > MAX_INDEX:
            raise refused(f"{path} in {self.name} has {file.size} bytes, more than any index.", FIX)
        return self.store.read(file.sha256)

    def agree(self, path: str, algorithm: str, digest: str, said_by: str) -> None:
        """Raises Invalid unless this file has this digest."""
        found = self._digest(path, ALGORITHMS.get(algorithm.lower(), ""), said_by)
        if found != digest.lower():
            raise refused(f"{path} in {self.name} is not what {said_by} says of it ({algorithm} {found}).", FIX)

    def missing(self, path: str, said_by: str) -> Invalid:
        """The error for a file that is named and not there."""
        return refused(f"{said_by} of {self.name} names {path[:200]}, which is not on it.", FIX)

    def signed(self, text: bytes, signature: bytes, what: str) -> Finding:
        """What a signature beside a file is worth here; raises Invalid for one that is wrong."""
        return self._vouched(what, lambda keys: openpgp.verify_detached(text, signature, keys, name=what))

    def signed_clear(self, text: bytes, what: str) -> Finding:
        """What the signature inside a file is worth here; raises Invalid for one that is wrong."""
        return self._vouched(what, lambda keys: openpgp.verified_clear(text, keys, name=what))

    def _vouched(self, what: str, verify: Callable[[bytes], object]) -> Finding:
        if not self.keyring:
            return Finding(what, False, f"{what} is signed; this machine has no key of its publisher.")
        try:
            verify(self.keyring)
        except openpgp.NotVouched as error:
            return Finding(what, False, error.sentence)
        return Finding(what, True, f"{what} is signed by a key of its publisher.")

    def _digest(self, path: str, algorithm: str, said_by: str) -> str:
        file = self.files[path]
        known = {"sha256": file.sha256, "md5": file.md5}.get(algorithm)
        if known:
            return known
        if algorithm not in hashlib.algorithms_available or not file.kept:
            raise refused(f"{said_by} of {self.name} has a checksum for {path} of a kind that nobody knows.", FIX)
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with self.store.open(file.sha256) as handle:
            while chunk := handle.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()
