"""What names indexes: apt's Release and yum's repomd.xml, read. Pure: bytes in, names with checksums out.

A set's root is the folder that its head's paths are relative to: `dists/trixie`, or the folder that holds `repodata`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import posixpath
import re
import xml.etree.ElementTree as Xml
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pxeapp.errors import Invalid
from pxeapp.software.repositories import apt_reading

Kind = Literal["apt", "yum"]
APT_HEADS = ("InRelease", "Release", "Release.gpg")
YUM_HEADS = ("repodata/repomd.xml", "repodata/repomd.xml.asc", "repodata/repomd.xml.key")
MAX_HEAD = 16 * 1024 * 1024
MAX_INDEX = 1024**3
ALGORITHMS = {"sha256": 64, "sha512": 128, "sha": 40, "sha1": 40}
_NAMESPACE = "{http://linux.duke.edu/metadata/repo}"
_OF_COMPONENT = re.compile(r"(?P<component>[^/]+)/(?:binary-(?P<architecture>[a-z0-9-]+)|source)/Release")
_WITHIN_SUITE = re.compile(r"(?:.*/)?dists/.+/(?:binary-[a-z0-9-]+|source)/Release")
_BY_HASH = re.compile(r"(?P<folder>.*/|)by-hash/(?P<algorithm>[A-Za-z0-9]+)/(?P<digest>[0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class File:
    """A file that lies here."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Sum:
    """What an index has to be."""

    algorithm: str
    digest: str
    size: int | None

    def fits(self, content_digest: str, size: int) -> bool:
        """Whether what was received is it."""
        return content_digest == self.digest and (self.size is None or size == self.size)

    def hasher(self) -> hashlib._Hash:
        """Made for its algorithm."""
        return hashlib.new("sha1" if self.algorithm == "sha" else self.algorithm, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Head:
    """What a head says. `asked_as` is what stays the same of an index from set to set, by its path."""

    sums: Mapping[str, Sum] = field(repr=False)
    by_hash: bool = False
    date: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    asked_as: Mapping[str, str] = field(default_factory=dict, repr=False)
    says: Mapping[str, str] = field(default_factory=dict, repr=False)  # apt's fields, but for the sums

    def of_component(self, path: str) -> bytes | None:
        """`main/binary-amd64/Release` as archives write it: of what the head says itself. None for any other file.

        Whether it is byte for byte the archive's own, the head's sum tells. Installers ask for it before anything
        else, no archive has it by its hash, and caches before archives often hold the one of the last release.
        """
        found = _OF_COMPONENT.fullmatch(path)
        if found is None:
            return None
        said = {"Archive": self.says.get("Suite")}
        said |= {name: self.says.get(name) for name in ("Origin", "Label", "Version", "Acquire-By-Hash")}
        said |= {"Component": found["component"], "Architecture": found["architecture"] or "source"}
        return "".join(f"{name}: {value}\n" for name, value in said.items() if value).encode()

    def lasting(self, path: str) -> str:
        """What an index is remembered by: apt's by its path, yum's by its type, since its path holds its checksum."""
        return self.asked_as.get(path, path)

    def paths_of(self, lasting: str) -> Iterator[str]:
        """The indexes that this head has of what was remembered."""
        if lasting in self.sums:
            yield lasting
        yield from (path for path, name in self.asked_as.items() if name == lasting)


@dataclass(frozen=True, slots=True)
class Spot:
    """A head that a path means: of which kind, where its set is rooted, and its path below that."""

    kind: Kind
    root: str
    path: str


def spot(path: str) -> Spot | None:
    """Whether this path below an upstream is a head's."""
    folder, name = posixpath.split(path)
    if name in APT_HEADS and not _WITHIN_SUITE.fullmatch(path):  # a component's own is one of its suite's indexes
        return Spot("apt", folder, name)
    for head in YUM_HEADS:
        if path == head or path.endswith(f"/{head}"):
            return Spot("yum", path[: -len(head)].rstrip("/"), head)
    return None


def possible(path: str) -> list[Spot]:
    """The heads that may name this path, the likeliest first; none where nothing names it, such as an image."""
    parts = path.split("/")
    if "repodata" in parts[:-1]:
        return [Spot("yum", "/".join(parts[: parts.index("repodata")]), YUM_HEADS[0])]
    if "dists" in parts[:-2]:
        start = parts.index("dists")
        # Debian before 11 had buster/updates, and the Ubuntu Cloud Archive has noble-updates/epoxy.
        lengths = [length for length in (start + 2, start + 3) if length < len(parts)]
        return [Spot("apt", "/".join(parts[:length]), "InRelease") for length in lengths]
    if posixpath.basename(path).partition(".")[0] in ("Packages", "Sources"):
        return [Spot("apt", posixpath.dirname(path), "InRelease")]  # a flat repository
    return []


def by_hash(path: str) -> tuple[str, str, str] | None:
    """Folder, algorithm and digest of apt's by-hash path."""
    found = _BY_HASH.fullmatch(path)
    return (found["folder"], found["algorithm"].lower(), found["digest"]) if found else None


def read(content: Callable[[File], bytes], files: Mapping[str, File], kind: Kind, at: float) -> Head:
    """What the head files of a generation say that was verified when it was made."""
    if kind == "yum":
        return read_yum(content(files[YUM_HEADS[0]]), name="what lies here")
    main = files.get("InRelease") or files["Release"]
    return read_apt(content(main), name="what lies here", now=dt.datetime.fromtimestamp(at, dt.UTC), keyring=b"")


def read_apt(content: bytes, *, name: str, now: dt.datetime, keyring: bytes, signature: bytes | None = None) -> Head:
    """A Release or InRelease file; raises Invalid. Without a keyring no signature is looked at, else it has to be one.

    Whether it has expired is for the caller to weigh: an old set that is whole is better than none.
    """
    if keyring:
        release = apt_reading.release(content, keyring, name=name, now=now, signature=signature, expired=True)
    else:
        release = apt_reading.unsigned(content, name=name, now=now, expired=True)
    sums = {path.removeprefix("./"): Sum("sha256", digest, size) for path, (digest, size) in release.sums.items()}
    says = {key: value for key, value in release.fields.items() if "\n" not in value}
    return Head(sums, release.by_hash, release.date, release.valid_until, says=says)


def read_yum(content: bytes, *, name: str) -> Head:
    """A repomd.xml; raises Invalid for what is none."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise Invalid(f"repomd.xml of {name} declares entities, which none does.", hint="Is this the right address?")
    try:
        tree = Xml.fromstring(content)  # noqa: S314 - without entities and within MAX_HEAD there is nothing to blow up
    except Xml.ParseError as error:
        raise Invalid(f"repomd.xml of {name} cannot be read: {error}.", hint="Is this the right address?") from error
    sums, types, newest = {}, {}, 0
    for data in tree.iter(f"{_NAMESPACE}data"):
        location, checksum = data.find(f"{_NAMESPACE}location"), data.find(f"{_NAMESPACE}checksum")
        path = "" if location is None else location.get("href", "")
        algorithm = "" if checksum is None else checksum.get("type", "").lower()
        digest = "" if checksum is None else (checksum.text or "").strip().lower()
        if not _plain(path) or ALGORITHMS.get(algorithm) != len(digest) or re.fullmatch(r"[0-9a-f]+", digest) is None:
            raise Invalid(f"repomd.xml of {name} names {path[:100]!r} without a checksum that we know.")
        size, stamp = data.findtext(f"{_NAMESPACE}size", ""), data.findtext(f"{_NAMESPACE}timestamp", "")
        sums[path] = Sum(algorithm, digest, int(size) if size.isascii() and size.isdigit() else None)
        types[path] = data.get("type", path)
        newest = max(newest, int(stamp.partition(".")[0]) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]*)?", stamp) else 0)
    if not sums:
        raise Invalid(f"repomd.xml of {name} names no index.", hint="Is this the right address?")
    return Head(sums, date=dt.datetime.fromtimestamp(newest, dt.UTC) if newest else None, asked_as=types)


def _plain(path: str) -> bool:
    parts = path.split("/")
    return len(path) < 500 and path.isprintable() and all(part not in ("", ".", "..") for part in parts)
