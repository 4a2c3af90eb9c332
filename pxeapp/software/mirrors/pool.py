"""The packages of an index as a closure looks at them: by name, by what they provide, for one architecture.

Which of several packages stands for a name is decided here, and the same way each time: the package of that very name
comes first, the newest version first; then those that only provide it: required before optional, what also provides
`default-NAME` before others, the shorter name before the longer. So `mail-transport-agent` is the distribution's own
default and `libfoo` is never by accident somebody's `libfoo-static`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cmp_to_key
from typing import Protocol

from pxeapp.software.mirrors.needs import Atom, Need
from pxeapp.software.packages import Kind, Package, compare, satisfies

PRIORITIES = {"required": 0, "important": 1, "standard": 2, "optional": 3, "extra": 4}


class Candidate(Protocol):
    """A package of an index; its relations are read when they are asked for, which is for few of sixty thousand."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Its version, with epoch and release or revision."""

    @property
    def priority(self) -> str:
        """Debian's, or an empty string."""

    @property
    def essential(self) -> bool:
        """Whether every system has it."""

    @property
    def source(self) -> int:
        """Which of the mirror's sources it lies in, counted from 0."""

    @property
    def provides(self) -> Sequence[tuple[str, str]]:
        """Names besides its own, each with its version or an empty one."""

    @property
    def foreign(self) -> bool:
        """Whether it serves packages of other architectures too (Multi-Arch: foreign, or allowed)."""

    @property
    def same(self) -> bool:
        """Whether it may be there for several architectures at once, all of one version (Multi-Arch: same)."""

    @property
    def package(self) -> Package:
        """What it is for everybody else."""

    def needs(self) -> Sequence[Need]:
        """What it asks of others, the weak ones too."""

    def exact(self) -> Sequence[Need]:
        """What it asks of others in one version and no other, as far as that may be skewed; see skew.py."""

    def against(self) -> Sequence[Atom]:
        """What it cannot be installed beside."""


class Pool:
    """The packages for one architecture, those for every architecture included."""

    def __init__(self, kind: Kind, architecture: str, candidates: Iterable[Candidate]) -> None:
        self.kind = kind
        self.architecture = architecture
        self._named: dict[str, list[Candidate]] = {}
        self._provided: dict[str, list[tuple[Candidate, str]]] = {}
        for candidate in candidates:
            self._named.setdefault(candidate.name, []).append(candidate)
            for name, version in candidate.provides:
                self._provided.setdefault(name, []).append((candidate, version))

        def newest_first(one: Candidate, other: Candidate) -> int:
            return compare(kind, other.version, one.version)

        for several in self._named.values():
            if len(several) > 1:
                several.sort(key=cmp_to_key(newest_first))

    def __iter__(self) -> Iterator[Candidate]:
        """The newest of each name."""
        return (several[0] for several in self._named.values())

    def every(self) -> Iterator[Candidate]:
        """All versions of all names."""
        return (candidate for several in self._named.values() for candidate in several)

    def satisfying(self, atom: Atom) -> list[Candidate]:
        """Who satisfies it, the preferred one first."""
        own = [each for each in self._named.get(atom.name, ()) if self._fits(each.version, atom)]
        named = {id(each) for each in own}
        others: dict[int, Candidate] = {}
        for candidate, version in self._provided.get(atom.name, ()):
            if id(candidate) not in named and (not atom.relation or (version and self._fits(version, atom))):
                others[id(candidate)] = candidate
        found = [*own, *sorted(others.values(), key=lambda each: self._rank(each, atom.name))]
        if atom.also or atom.without:
            found = [each for each in found if self._has_all(each, atom)]
        return found

    def _fits(self, version: str, atom: Atom) -> bool:
        return satisfies(self.kind, version, atom.relation, atom.version)

    def has(self, name: str, chosen: Mapping[str, object]) -> bool:
        """Whether one of the chosen names is this name or provides it."""
        return name in chosen or any(each.name in chosen for each, _ in self._provided.get(name, ()))

    def _rank(self, candidate: Candidate, name: str) -> tuple[int, bool, int, str, str]:
        default = all(each != f"default-{name}" for each, _ in candidate.provides)
        rank = PRIORITIES.get(candidate.priority, 3)
        return (rank, default, len(candidate.name), candidate.name, candidate.version)

    def _has_all(self, candidate: Candidate, atom: Atom) -> bool:
        names = {candidate.name, *(each for each, _ in candidate.provides)}
        return names.issuperset(atom.also) and not names.intersection(atom.without)
