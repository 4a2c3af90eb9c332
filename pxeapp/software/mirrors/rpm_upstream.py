"""The yum repositories of a mirror, read: repomd.xml first, and then the indices that it vouches for.

Few publishers sign repomd.xml; most sign the packages. Where there is a key and repomd.xml has no signature, each is
verified by its own one before anything is published (see sync.py); where there is no key either, nothing vouches for
anything, and that has to be said in words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

from pxeapp.errors import Invalid, NotFound
from pxeapp.software.content.manifest import check_path
from pxeapp.software.mirrors import rpm_extras, rpm_index, rpm_modules
from pxeapp.software.mirrors.line import Changed
from pxeapp.software.mirrors.reading import MAX_INDEX, MID_UPDATE, Reading, Upstreams, pools
from pxeapp.software.mirrors.rpm_index import Rpm
from pxeapp.software.repositories import openpgp, unpacking

REPOMD = "repodata/repomd.xml"
MAX_REPOMD = 4 * 1024 * 1024
REPO = "{http://linux.duke.edu/metadata/repo}"
UNSIGNED = "unsigned, and taken because accept_unsigned says so"
BY_PACKAGE = "repomd.xml has no signature; each package is verified by its own"
SOURCES = ("src", "nosrc")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Index:
    """One of the files that repomd.xml names."""

    path: str
    sha256: str
    size: int


def read(at: Upstreams) -> Reading:
    """Every source; raises Invalid for what cannot be verified, Unavailable for what cannot be reached."""
    stamps, dates, remarks = [], [], []
    found: list[Rpm] = []
    groups: dict[str, tuple[str, ...]] = {}
    extra: dict[str, list[bytes]] = {}
    known: list[tuple[int, dict[str, Index]]] = []
    for number in range(len(at.selection.sources)):
        at.says(f"Reading {at.places[number]}")
        content, remark = _repomd(at, number)
        if remark:
            remarks.append(f"{at.places[number]}: {remark}")
        indices, moment = _indices(content, str(at.places[number]))
        stamps.append(repr(sorted((each.path, each.sha256) for each in indices.values())))
        dates.append(moment)
        known.append((number, indices))
        where = f"{indices['primary'].path} of {at.places[number]}"
        found += rpm_index.read(_content(at, number, indices["primary"]), number, where)
        for kind in rpm_extras.KINDS:
            if (index := indices.get(kind)) is not None:
                extra.setdefault(kind, []).append(_plain(_content(at, number, index), index.path))
        if "group" in indices:
            groups |= rpm_index.groups(extra["group"][-1], f"{indices['group'].path} of {at.places[number]}")
    if not at.selection.everything:
        hidden = rpm_modules.hidden(extra.get("modules", ()))
        found = [each for each in found if rpm_modules.artifact(each.package) not in hidden]
    _add_files(at, found, known)
    return Reading(
        pools("rpm", ((each.package.arch, each) for each in found), at.selection.architectures),
        sources=tuple(each for each in found if each.package.arch in SOURCES),
        stamp=hashlib.sha256("\n".join(stamps).encode()).hexdigest(),
        dated=min(dates),
        remarks=tuple(remarks),
        groups=groups,
        extra={kind: rpm_extras.merged(kind, contents) for kind, contents in extra.items()},
    )


def _repomd(at: Upstreams, number: int) -> tuple[bytes, str]:
    """repomd.xml, and what is to be said of how it was verified."""
    place = at.places[number]
    try:
        content = at.get(number, REPOMD, MAX_REPOMD)
    except NotFound as error:
        raise Invalid(
            f"{place} is no rpm repository: it has no {REPOMD}.", hint="Name the folder that holds repodata/."
        ) from error
    if at.selection.accept_unsigned:
        return content, UNSIGNED
    keyring = at.keyrings[number]
    if keyring is None:
        raise Invalid(
            f"There is no key to verify {place} with.",
            hint="Give the publisher's key (key), or take it unverified with accept_unsigned.",
        )
    try:
        signature = at.get(number, f"{REPOMD}.asc", MAX_REPOMD)
    except NotFound:
        return content, BY_PACKAGE
    openpgp.verify_detached(content, signature, keyring, name=f"repomd.xml of {place}")
    return content, ""


def _indices(content: bytes, place: str) -> tuple[dict[str, Index], datetime]:
    try:
        root = Xml.fromstring(_plain(content, f"repomd.xml of {place}"))  # noqa: S314 - see above
    except Xml.ParseError as error:
        raise Invalid(f"repomd.xml of {place} cannot be read: {error}.", hint="Is this the right place?") from error
    found: dict[str, Index] = {}
    newest = 0
    for data in root.iterfind(f"{REPO}data"):
        location, checksum = data.find(f"{REPO}location"), data.find(f"{REPO}checksum")
        sha256 = ((checksum.text or "") if checksum is not None else "").strip().lower()
        size = (data.findtext(f"{REPO}size") or "").strip()
        stamp = (data.findtext(f"{REPO}timestamp") or "").strip().partition(".")[0]
        newest = max(newest, int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) < 12 else 0)
        if location is not None and _SHA256.fullmatch(sha256):
            path = location.get("href", "")
            check_path(path)
            limit = int(size) if size.isascii() and size.isdigit() else MAX_INDEX
            found[data.get("type", "")] = Index(path, sha256, limit)
    if "primary" not in found:
        raise Invalid(
            f"repomd.xml of {place} names no primary index with a SHA-256.",
            hint="Repositories of before 2010 know SHA-1 alone; upload such packages to a local repository.",
        )
    return found, datetime.fromtimestamp(newest, UTC)


def _content(at: Upstreams, number: int, index: Index) -> bytes:
    try:
        content = at.index(number, index.path, index.sha256, index.size)
    except NotFound as error:
        raise Changed(f"{at.places[number]} has no {index.path}, which repomd.xml names.", hint=MID_UPDATE) from error
    found = hashlib.sha256(content).hexdigest()
    if found != index.sha256:
        raise Changed(
            f"{index.path} of {at.places[number]} has SHA-256 {found}, and its repomd.xml says {index.sha256}.",
            hint=MID_UPDATE,
        )
    at.keep(content)
    return unpacking.unpacked(content, index.path, name=f"{index.path} of {at.places[number]}")


def _plain(content: bytes, path: str) -> bytes:
    if rpm_index.ENTITY.search(content[:65536]):
        raise Invalid(f"{path} declares entities, which no index does.", hint="Use another mirror.")
    return content


def _add_files(at: Upstreams, found: list[Rpm], known: list[tuple[int, dict[str, Index]]]) -> None:
    """Files that somebody requires and no primary lists are looked up: that index is ten times as large."""
    provided = {name for each in found for name, _ in each.provides}
    missing = {
        atom.name
        for each in found
        for need in each.needs()
        if not need.weak
        for atom in need.any_of
        if atom.name.startswith("/") and atom.name not in provided
    }
    if not missing:
        return
    for number, indices in known:
        if "filelists" not in indices:
            continue
        where = f"{indices['filelists'].path} of {at.places[number]}"
        files = rpm_index.files(_content(at, number, indices["filelists"]), missing, where)
        owners: dict[tuple[str, str], list[str]] = {}
        for path, several in files.items():
            for identity in several:
                owners.setdefault(identity, []).append(path)
        for each in _of_source(found, number):
            each.provides.extend((path, "") for path in owners.get((each.name, each.version), ()))


def _of_source(found: list[Rpm], number: int) -> Iterator[Rpm]:
    return (each for each in found if each.source == number)


def verified_by_package(reading: Reading, at: Upstreams) -> list[int]:
    """The sources whose packages have to be verified each by its own signature."""
    return [number for number, place in enumerate(at.places) if f"{place}: {BY_PACKAGE}" in reading.remarks]
