"""Which packages a list of wanted ones comes to, with all that they need. Pure: indices and names in, a choice out.

A package always asks for the same others, whatever else is chosen: of alternatives the first that there is. One that
has been chosen for another reason would do as well, but both are then taken. So the result does not depend on the order
of anything, and one more wanted package never removes another. Only conflicts look at what is chosen, and they only
add: where the first alternative cannot be installed beside something else here, the next one comes too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pxeapp.software.mirrors.needs import Need
from pxeapp.software.mirrors.pool import Candidate, Pool


@dataclass(frozen=True, slots=True)
class Rules:
    """How far to go."""

    weak: bool = False  # Recommends too
    follow: bool = True  # dependencies at all


@dataclass(frozen=True, slots=True)
class Unsatisfied:
    """What nobody in the index satisfies, and who asked for it."""

    what: str
    by: tuple[str, ...]
    architecture: str


@dataclass(frozen=True, slots=True)
class Closure:
    """What was chosen, in order of name, and what is missing."""

    chosen: tuple[Candidate, ...]
    unsatisfied: tuple[Unsatisfied, ...]


def close(pools: Sequence[Pool], wanted: Mapping[Need, str], rules: Rules = Rules()) -> Closure:
    """Everything that `wanted` comes to; its values say who wants each, for what cannot be satisfied."""
    walk = _Walk(pools, rules)
    for pool in pools:
        for need, why in wanted.items():
            walk.ask(need, why, pool)
    walk.run()
    return walk.result()


@dataclass(slots=True)
class _Asked:
    """A need with several ways to satisfy it, of which the first is taken."""

    options: list[Candidate]
    pool: Pool
    taken: int = 1


@dataclass(slots=True)
class _Walk:
    pools: Sequence[Pool]
    rules: Rules
    chosen: dict[tuple[str, int], Candidate] = field(default_factory=dict)  # by architecture and identity
    queue: list[tuple[Candidate, Pool]] = field(default_factory=list)
    known: dict[tuple[str, Need], tuple[Candidate, Pool] | None] = field(default_factory=dict)
    several: list[_Asked] = field(default_factory=list)
    missing: dict[tuple[str, Need], list[str]] = field(default_factory=dict)

    def ask(self, need: Need, why: str, pool: Pool) -> None:
        key = (pool.architecture, need)
        if key not in self.known:
            options, home = self._options(need, pool)
            self.known[key] = (options[0], home) if options else None
            if options:
                self._take(options[0], home)
            if len(options) > 1:
                self.several.append(_Asked(options, home))
        if self.known[key] is None and not need.weak:
            self.missing.setdefault(key, []).append(why)

    def run(self) -> None:
        self._follow()
        while self._add_beside_conflicts():
            self._follow()

    def result(self) -> Closure:
        chosen = {id(each): each for each in self.chosen.values()}
        names = {architecture: self._names(architecture) for architecture in {pool.architecture for pool in self.pools}}
        by_architecture = {pool.architecture: pool for pool in self.pools}
        unsatisfied = [
            Unsatisfied(str(need), tuple(sorted(set(by))), architecture)
            for (architecture, need), by in self.missing.items()
            if not need.only_if or by_architecture[architecture].has(need.only_if, names[architecture])
        ]
        return Closure(
            tuple(sorted(chosen.values(), key=lambda each: (each.name, each.version, each.package.path))),
            tuple(sorted(unsatisfied, key=lambda each: (each.what, each.architecture))),
        )

    def _names(self, architecture: str) -> dict[str, None]:
        return {each.name: None for (whose, _), each in self.chosen.items() if whose == architecture}

    def _options(self, need: Need, pool: Pool) -> tuple[list[Candidate], Pool]:
        """Every package that would do, in order; those of other architectures only where none of this one does."""
        asked = {atom.arch for atom in need.any_of} - {"", "any", "native"}
        home = next((each for each in self.pools if each.architecture in asked), pool)
        found = [each for atom in need.any_of for each in home.satisfying(atom)]
        if not found:
            for other in self.pools:
                serving = [each for atom in need.any_of for each in other.satisfying(atom) if each.foreign]
                if serving:
                    return serving, other
        return list({id(each): each for each in found}.values()), home

    def _take(self, candidate: Candidate, pool: Pool) -> None:
        key = (pool.architecture, id(candidate))
        if key not in self.chosen:
            self.chosen[key] = candidate
            self.queue.append((candidate, pool))

    def _follow(self) -> None:
        while self.queue:
            candidate, pool = self.queue.pop()
            if not self.rules.follow:
                continue
            for need in candidate.needs():
                if self.rules.weak or not need.weak:
                    self.ask(need, candidate.name, pool)

    def _add_beside_conflicts(self) -> bool:
        """Where the alternative that was taken cannot stand beside another chosen package, take the next ones too."""
        clashing = self._clashing()
        added = False
        for asked in self.several:
            while asked.taken < len(asked.options) and all(
                id(each) in clashing for each in asked.options[: asked.taken]
            ):
                self._take(asked.options[asked.taken], asked.pool)
                asked.taken += 1
                added = True
        return added

    def _clashing(self) -> set[int]:
        by_pool: dict[str, set[int]] = {}
        for architecture, identity in self.chosen:
            by_pool.setdefault(architecture, set()).add(identity)
        pools = {pool.architecture: pool for pool in self.pools}
        found: set[int] = set()
        for (architecture, identity), candidate in self.chosen.items():
            for atom in candidate.against():
                others = {id(each) for each in pools[architecture].satisfying(atom)} & by_pool[architecture]
                others.discard(identity)  # "Provides: x, Conflicts: x" means: only one of us
                if others:
                    found |= {identity, *others}
        return found
