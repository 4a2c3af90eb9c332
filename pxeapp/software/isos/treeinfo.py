"""`.treeinfo`, by which a tree of the CentOS family describes itself; productmd's and the older form are both read."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pxeapp.software.isos.image import refused

NAME = ".treeinfo"
ARCHITECTURE = "x86_64"
# How it calls whom: the first match counts.
FAMILIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"centos", re.IGNORECASE), "centos"),
    (re.compile(r"rocky", re.IGNORECASE), "rocky"),
    (re.compile(r"alma", re.IGNORECASE), "alma"),
)


@dataclass(frozen=True, slots=True)
class TreeInfo:
    """What a tree says of itself. `checksums` are algorithm and digest by path."""

    name: str
    version: str
    architecture: str
    kernel: str
    initrd: str
    stage2: str
    checksums: Mapping[str, tuple[str, str]] = field(repr=False)

    @property
    def family(self) -> str:
        """The family whose it is; empty for one that we do not know."""
        return family_of(self.name)


def family_of(name: str) -> str:
    """The family that a product's name or a volume's label speaks of; empty for none that we know."""
    return next((family for pattern, family in FAMILIES if pattern.search(name)), "")


def read(text: bytes, *, where: str) -> TreeInfo:
    """Read it; raises Invalid when it cannot be read or lacks what every tree says."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # paths have capitals
    try:
        parser.read_string(text.decode())
    except (configparser.Error, UnicodeDecodeError) as error:
        raise refused(f"{NAME} of {where} cannot be read: {error}.", "Download it again.") from error

    def said(*places: tuple[str, str]) -> str:
        return next((parser[section][key].strip() for section, key in places if parser.has_option(section, key)), "")

    architecture = said(("tree", "arch"), ("general", "arch"))
    images = f"images-{architecture}"
    return TreeInfo(
        name=said(("release", "name"), ("product", "name"), ("general", "family"), ("general", "name")),
        version=said(("release", "version"), ("product", "version"), ("general", "version")),
        architecture=architecture,
        kernel=said((images, "kernel")),
        initrd=said((images, "initrd")),
        stage2=said(("stage2", "mainimage")),
        checksums=_checksums(parser, where),
    )


def _checksums(parser: configparser.ConfigParser, where: str) -> dict[str, tuple[str, str]]:
    found = {}
    for path, value in parser["checksums"].items() if parser.has_section("checksums") else ():
        algorithm, _, digest = value.strip().partition(":")
        if not re.fullmatch(r"[0-9a-fA-F]{32,128}", digest):
            raise refused(f"{NAME} of {where} has no checksum for {path}: {value[:100]!r}.", "Download it again.")
        found[path.removeprefix("./")] = (algorithm.lower(), digest.lower())
    return found
