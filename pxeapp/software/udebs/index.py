"""A Packages index of udebs, read; and what it takes to resolve a dependency in it.

Versions in dependencies are not compared: an index is one build of the distribution, consistent in itself, and the
installer's own resolver (anna) does not compare them either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pxeapp.software.apt_sources import stanzas

_VERSIONED = re.compile(r"\s*\([^)]*\)|\s*\[[^\]]*\]|:any")


@dataclass(frozen=True, slots=True)
class Udeb:
    """One stanza: an installer component, or a package in the initrd's own status."""

    name: str
    version: str
    depends: tuple[tuple[str, ...], ...] = ()  # every one of: any of
    provides: tuple[str, ...] = ()
    filename: str = ""
    sha256: str = ""
    size: int = 0
    fields: dict[str, str] = field(default_factory=dict, compare=False)


def read(text: str) -> dict[str, Udeb]:
    """Every package of a Packages file or a dpkg status, by name; of several, the last one (kernels have own names)."""
    return {stanza["Package"]: _udeb(stanza) for stanza in stanzas(text) if stanza.get("Package")}


def providers(udebs: Iterable[Udeb]) -> dict[str, list[str]]:
    """Who provides a name: the package itself first, then those with it in Provides, in the index's order."""
    found: dict[str, list[str]] = {}
    for udeb in udebs:
        found.setdefault(udeb.name, []).insert(0, udeb.name)
        for name in udeb.provides:
            found.setdefault(name, []).append(udeb.name)
    return found


def depends(text: str) -> tuple[tuple[str, ...], ...]:
    """`a (>= 1), b | c` as (("a",), ("b", "c"))."""
    groups = (_VERSIONED.sub("", group).split("|") for group in text.split(","))
    return tuple(names for group in groups if (names := tuple(name.strip() for name in group if name.strip())))


def _udeb(stanza: dict[str, str]) -> Udeb:
    return Udeb(
        name=stanza["Package"],
        version=stanza.get("Version", ""),
        depends=depends(stanza.get("Depends", "")),
        provides=tuple(name for group in depends(stanza.get("Provides", "")) for name in group),
        filename=stanza.get("Filename", ""),
        sha256=stanza.get("SHA256", ""),
        size=int(stanza.get("Size", "0") or 0),
        fields=stanza,
    )
