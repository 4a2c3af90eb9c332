"""A manifest: which file of the store lies at which path of a tree. Two trees with the same manifest are the same."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pxeapp.errors import Invalid
from pxeapp.software.content.store import SHA256, Store

LONGEST = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file: its path below the tree's root, its hash, its size in bytes."""

    path: str
    sha256: str
    size: int


class Manifest:
    """Files by path. Raises Invalid for a path that could lie outside of the root, or one that is there twice."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in sorted(entries):
            check_path(entry.path)
            if not SHA256.fullmatch(entry.sha256):
                raise Invalid(f"{entry.path[:200]!r} has no SHA-256.")
            known = self._entries.setdefault(entry.path, entry)
            if known != entry:
                raise Invalid(f"{entry.path} is there twice, with different contents.")
        self._refuse_files_as_folders()

    def _refuse_files_as_folders(self) -> None:
        for path in self._entries:
            parent = path
            while (parent := parent.rpartition("/")[0]) != "":
                if parent in self._entries:
                    raise Invalid(f"{parent} is a file, and {path} needs it to be a folder.")

    @property
    def bytes(self) -> int:
        """What the tree's files hold together; the same content at two paths counts twice."""
        return sum(entry.size for entry in self)

    def get(self, path: str) -> Entry | None:
        """The file at this path."""
        return self._entries.get(path)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def save(self, store: Store) -> str:
        """Keep it in the store; returns its SHA-256, by which `load` finds it."""
        lines = "".join(f"{json.dumps([each.path, each.sha256, each.size])}\n" for each in self)
        # zlib and not gzip: without a time in it the same manifest is the same file.
        return store.add_bytes(zlib.compress(lines.encode(), 6)).sha256

    @classmethod
    def load(cls, store: Store, sha256: str) -> Manifest:
        """The manifest that was saved; one of nothing for an empty hash. Raises NotFound."""
        if not sha256:
            return cls(())
        lines = zlib.decompress(store.read(sha256)).decode().splitlines()
        return cls(Entry(*json.loads(line)) for line in lines)


def check_path(path: str) -> None:
    """Raises Invalid for what is not a plain relative path."""
    parts = path.split("/")
    if len(path) > LONGEST or _CONTROL.search(path) or any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"{path[:200]!r} cannot be a path in a tree: no empty parts, dots or control characters.")
    if any(len(part.encode()) > 255 for part in parts):
        raise Invalid(f"{path[:200]!r} has a part that is longer than any file system keeps.")
