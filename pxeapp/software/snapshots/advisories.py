"""Security advisories, where a repository's metadata have them: the updateinfo of an RPM repository.

A Debian repository tells of no advisories: they are published apart (DSA, USN), keyed by source package and version.
Where a repository has none to tell, that is said rather than an empty list being shown as "nothing to fear".
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO
from xml.parsers import expat

from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store

LARGEST = 256 * 1024 * 1024  # unpacked; a whole distribution's is 60 MB
MOST = 50_000
_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda source: gzip.GzipFile(fileobj=source),
    ".xz": lzma.LZMAFile,
    ".bz2": bz2.BZ2File,
    ".xml": lambda source: source,
}


@dataclass(frozen=True, slots=True)
class Advisory:
    """One: `packages` are NAME-VERSION-RELEASE of what mends it."""

    name: str
    kind: str  # security, bugfix, enhancement
    severity: str
    title: str
    packages: tuple[str, ...]
    references: tuple[str, ...]  # CVE numbers

    def wire(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "severity": self.severity,
            "title": self.title,
            "packages": list(self.packages),
            "references": list(self.references),
        }


def of_repository(store: Store, manifest: Manifest) -> tuple[Advisory, ...] | None:
    """Those of an RPM repository; None where its metadata hold none, or hold what cannot be read."""
    for entry in manifest:
        name = entry.path.rpartition("/")[2]
        if entry.path.startswith("repodata/") and "updateinfo" in name:
            opener = _OPENERS.get("." + name.rpartition(".")[2])
            if opener is None:
                continue
            with store.open(entry.sha256) as raw:
                try:
                    return read(opener(raw))
                except (OSError, EOFError, lzma.LZMAError, expat.ExpatError, ValueError):
                    return None
    return None


def read(source: Any) -> tuple[Advisory, ...]:
    """updateinfo.xml as advisories; raises ValueError or expat's error for what is no such file."""
    found = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = found.start, found.end
    parser.CharacterDataHandler = found.text
    parser.EntityDeclHandler = _refuse  # no entity ever: they are how a small file becomes a large one
    size = 0
    while chunk := source.read(io.DEFAULT_BUFFER_SIZE):
        size += len(chunk)
        if size > LARGEST:
            raise ValueError("it is too large")
        parser.Parse(chunk)
    parser.Parse(b"", True)
    return tuple(found.advisories)


def _refuse(*_said: object) -> None:
    raise ValueError("it declares entities")


class _Reading:
    """Follows the elements of the file; what is not asked for is passed over."""

    def __init__(self) -> None:
        self.advisories: list[Advisory] = []
        self._path: list[str] = []
        self._said: dict[str, str] = {}
        self._packages: list[str] = []
        self._references: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        if name == "update" and len(self._path) == 2:
            self._said = {"type": attributes.get("type", ""), "id": "", "title": "", "severity": ""}
            self._packages, self._references = [], []
        elif name == "package" and "collection" in self._path:
            version = "-".join(filter(None, (attributes.get("version", ""), attributes.get("release", ""))))
            self._packages.append(f"{attributes.get('name', '')}-{version}")
        elif name == "reference" and attributes.get("type") == "cve":
            self._references.append(attributes.get("id") or attributes.get("title", ""))

    def text(self, data: str) -> None:
        if len(self._path) == 3 and self._path[-1] in ("id", "title", "severity"):
            self._said[self._path[-1]] += data

    def end(self, name: str) -> None:
        self._path.pop()
        if name == "update" and len(self._path) == 1 and len(self.advisories) < MOST:
            said = {key: value.strip()[:300] for key, value in self._said.items()}
            self.advisories.append(
                Advisory(
                    said["id"], said["type"], said["severity"], said["title"],
                    tuple(dict.fromkeys(self._packages)), tuple(dict.fromkeys(filter(None, self._references))),
                )
            )  # fmt: skip
