"""A Packages index as candidates: what a closure asks of every package is read at once, the rest of the few taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from pxeapp.software.apt_sources import stanzas
from pxeapp.software.mirrors import deb_needs
from pxeapp.software.mirrors.needs import Atom, Need
from pxeapp.software.packages import Package
from pxeapp.software.repositories import apt_reading


class Deb:
    """One paragraph."""

    __slots__ = (
        "__dict__", "_provides", "_text", "_where", "architecture", "essential", "foreign", "name", "priority",
        "same", "source", "version",
    )  # fmt: skip

    def __init__(self, text: str, source: int, where: str) -> None:
        self._text = text
        self._where = where
        self.source = source
        self.name = _field(text, "Package")
        self.version = _field(text, "Version")
        self.architecture = _field(text, "Architecture")
        self.priority = _field(text, "Priority")
        self.essential = _field(text, "Essential") == "yes"
        multi_arch = _field(text, "Multi-Arch")
        self.foreign = multi_arch in ("foreign", "allowed")
        self.same = multi_arch == "same"
        self._provides = _field(text, "Provides")

    @property
    def provides(self) -> Sequence[tuple[str, str]]:
        """Names besides its own, each with its version or an empty one."""
        return deb_needs.provided(self._provides) if self._provides else ()

    @cached_property
    def fields(self) -> dict[str, str]:
        """Every field of it."""
        return next(iter(stanzas(self._text)), {})

    @cached_property
    def package(self) -> Package:
        """What it is for everybody else; its path is the upstream's. Raises Invalid for a paragraph that lacks some."""
        return next(apt_reading.packages(self._text.encode(), path="Packages", name=self._where))

    def needs(self) -> Sequence[Need]:
        """What it asks of others, what it only recommends as well."""
        strong = (need for name in deb_needs.STRONG for need in deb_needs.read(self.fields.get(name, "")))
        weak = (need for name in deb_needs.WEAK for need in deb_needs.read(self.fields.get(name, ""), weak=True))
        return (*strong, *weak)

    def exact(self) -> Sequence[Need]:
        """What it asks of others in one version and no other; read without the other fields."""
        fields = [_field(self._text, name) for name in deb_needs.STRONG]
        needs = [need for text in fields if "(=" in text for need in deb_needs.read(text)]
        return [need for need in needs if any(atom.relation == "=" for atom in need.any_of)]

    def against(self) -> Sequence[Atom]:
        """What it cannot be installed beside."""
        return [atom for name in deb_needs.AGAINST for atom in deb_needs.atoms(self.fields.get(name, ""))]


def _field(text: str, name: str) -> str:
    """One field out of a paragraph, without reading the others: of sixty thousand packages few are looked at closer."""
    at = text.find(f"\n{name}:")
    if at < 0:
        if not text.startswith(f"{name}:"):
            return ""
        at = -1
    at += len(name) + 2
    end = text.find("\n", at)
    while end >= 0 and text[end + 1 : end + 2] in (" ", "\t"):
        end = text.find("\n", end + 1)
    return (text[at:end] if end >= 0 else text[at:]).strip()


def read(text: str, source: int, where: str) -> Iterator[Deb]:
    """Every package of an index; a paragraph without a name or a version is none. `where` is for sentences."""
    for paragraph in text.split("\n\n"):
        found = Deb(paragraph, source, where)
        if found.name and found.version:
            yield found
