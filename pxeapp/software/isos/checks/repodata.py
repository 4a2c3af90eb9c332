"""A yum repository's own chain: repomd.xml names the indices, the index names every package, each by its checksum."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from pxeapp.software.content.manifest import check_path
from pxeapp.software.isos.checks.content import FIX, Content, Finding
from pxeapp.software.isos.image import refused
from pxeapp.software.isos.layouts import REPOMD
from pxeapp.software.isos.medium import Repository
from pxeapp.software.repositories import unpacking

COMMON = "{http://linux.duke.edu/metadata/common}"
REPO = "{http://linux.duke.edu/metadata/repo}"
_DECLARES = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Index:
    """A file that repomd.xml names, with its checksum."""

    kind: str  # primary, filelists, group ...
    path: str
    algorithm: str
    digest: str


def check(content: Content) -> Iterator[Finding]:
    """Every repository of the medium."""
    for repository in content.medium.repositories:
        yield from _repository(content, repository)


def _repository(content: Content, repository: Repository) -> Iterator[Finding]:
    repomd = repository.at(REPOMD)
    text = content.read(repomd)
    packages = 0
    for index in _indices(text, repomd, content):
        path = repository.at(index.path)
        if path not in content.files:
            raise content.missing(path, repomd)
        content.agree(path, index.algorithm, index.digest, repomd)
        if index.kind == "primary":
            packages += _packages(content, repository, path)
    yield Finding(
        repomd, True, f"{repository.name}: all indices and {packages} packages are what {repomd} says of them."
    )
    signature = f"{repomd}.asc"
    if signature in content.files:
        yield content.signed(text, content.read(signature), repomd)
    else:
        yield Finding(signature, False, f"{repomd} is not signed, so who made it is not proved.")


def _packages(content: Content, repository: Repository, path: str) -> int:
    primary = unpacking.unpacked(content.read(path), path, name=f"{path} of {content.name}")
    count = 0
    for element in _elements(primary, f"{COMMON}package", f"{path} of {content.name}"):
        checksum, location = element.find(f"{COMMON}checksum"), element.find(f"{COMMON}location")
        if checksum is None or location is None:
            raise refused(f"{path} of {content.name} names a package without its checksum or place.", FIX)
        file = repository.at(location.get("href", "").removeprefix("./"))
        if file not in content.files:
            raise content.missing(file, path)
        content.agree(file, checksum.get("type", ""), (checksum.text or "").strip(), path)
        count += 1
    return count


def _elements(text: bytes, tag: str, where: str) -> Iterator[Xml.Element]:
    """Elements of this tag as they are read, so that a list of many packages is never there whole."""
    if _DECLARES.search(text):
        raise refused(f"{where} declares entities, which no index does.", FIX)
    root: Xml.Element | None = None
    try:
        for event, element in Xml.iterparse(io.BytesIO(text), events=("start", "end")):  # noqa: S314 - see above
            if root is None:
                root = element
            elif event == "end" and element.tag == tag:
                yield element
                root.clear()
    except Xml.ParseError as error:
        raise refused(f"{where} is no index: {error}.", FIX) from error


def _indices(text: bytes, repomd: str, content: Content) -> Iterator[Index]:
    found = []
    for data in _elements(text, f"{REPO}data", f"{repomd} of {content.name}"):
        checksum, location = data.find(f"{REPO}checksum"), data.find(f"{REPO}location")
        if checksum is None or location is None:
            raise refused(f"{repomd} of {content.name} names an index without its checksum or place.", FIX)
        path = location.get("href", "")
        check_path(path)
        found.append(Index(data.get("type", ""), path, checksum.get("type", ""), (checksum.text or "").strip()))
    if not any(index.kind == "primary" for index in found):
        raise refused(f"{repomd} of {content.name} names no list of packages.", FIX)
    yield from found
