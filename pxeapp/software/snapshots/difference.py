"""What differs between two snapshots, or one and the repositories now: by repository, by source package. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pxeapp.software import packages
from pxeapp.software.packages import Package
from pxeapp.software.snapshots.advisories import Advisory

ADDED, REMOVED, UPGRADED, DOWNGRADED, ALTERED = "added", "removed", "upgraded", "downgraded", "altered"
KINDS = (ALTERED, DOWNGRADED, REMOVED, UPGRADED, ADDED)  # what somebody should look at first


@dataclass(frozen=True, slots=True)
class Change:
    """One package of one architecture: from the newest version there to the newest here; "" where there is none.

    `altered` is the same version with other content: somebody built it again, or altered it.
    """

    kind: str
    name: str
    arch: str
    old: str
    new: str
    source: str = ""

    @property
    def group(self) -> str:
        """The source package, which is what people decide about."""
        return self.source or self.name


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one repository. `status` is added or removed for one that only one side has, else changed or same."""

    repository: str
    status: str
    changes: tuple[Change, ...] = ()
    advisories: tuple[Advisory, ...] = ()
    advisories_known: bool = False  # whether the repository's metadata tell of any at all

    @property
    def counts(self) -> dict[str, int]:
        """How many changes of each kind."""
        return {kind: sum(each.kind == kind for each in self.changes) for kind in KINDS}

    @property
    def groups(self) -> dict[str, tuple[Change, ...]]:
        """The changes by source package."""
        found: dict[str, list[Change]] = defaultdict(list)
        for each in self.changes:
            found[each.group].append(each)
        return {name: tuple(found[name]) for name in sorted(found)}

    def wire(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "repository": self.repository,
            "status": self.status,
            "counts": self.counts,
            "sources": [
                {"source": source, "changes": [_wire(each) for each in changes]}
                for source, changes in self.groups.items()
            ],
            "advisories": [each.wire() for each in self.advisories],
            "advisories_known": self.advisories_known,
        }


@dataclass(slots=True)
class Side:
    """A repository on one side of the comparison."""

    kind: packages.Kind
    packages: str  # the hash of its list
    listed: Sequence[Package] = ()
    advisories: tuple[Advisory, ...] | None = field(default=None)  # None: its metadata tell of none


def between(old: Mapping[str, Side], new: Mapping[str, Side]) -> Iterator[Difference]:
    """Of every repository that either side has, in order of name."""
    for name in sorted({*old, *new}):
        left, right = old.get(name), new.get(name)
        kind = (right or left or Side("deb", "")).kind
        if left is not None and right is not None and left.packages == right.packages:
            yield Difference(name, "same")
            continue
        changes = tuple(compared(kind, left.listed if left else (), right.listed if right else ()))
        known = {each.name for each in (left.advisories or ())} if left else set()
        fresh = tuple(each for each in (right.advisories or ()) if each.name not in known) if right else ()
        status = "added" if left is None else "removed" if right is None else "changed" if changes else "same"
        yield Difference(name, status, changes, fresh, bool(right and right.advisories is not None))


def compared(kind: packages.Kind, old: Iterable[Package], new: Iterable[Package]) -> Iterator[Change]:
    """Every package that differs, by source, name and architecture."""
    left, right = _by_name(old), _by_name(new)
    found = []
    for key in {*left, *right}:
        before, after = left.get(key, {}), right.get(key, {})
        source = next(iter((after or before).values())).source
        found += [Change(what, *key, was, now, source) for what, was, now in _changed(kind, before, after)]
    return iter(sorted(found, key=lambda each: (each.group, each.name, each.arch, KINDS.index(each.kind))))


def _changed(
    kind: packages.Kind, before: Mapping[str, Package], after: Mapping[str, Package]
) -> Iterator[tuple[str, str, str]]:
    for version in before.keys() & after.keys():
        if before[version].sha256 != after[version].sha256:
            yield ALTERED, version, version
    old, new = (_newest(kind, each) for each in (before, after))
    if old == new:
        # A repository may hold several versions; what is behind the newest counts only where it comes or goes.
        yield from ((ADDED, "", version) for version in after.keys() - before.keys())
        yield from ((REMOVED, version, "") for version in before.keys() - after.keys())
    elif not old:
        yield ADDED, "", new
    elif not new:
        yield REMOVED, old, ""
    else:
        yield (UPGRADED if packages.compare(kind, old, new) < 0 else DOWNGRADED), old, new


def _newest(kind: packages.Kind, versions: Iterable[str]) -> str:
    # By text where a comparison calls two equal (1.0 and 1.00), so that the answer is always the same one.
    ordered = sorted(versions)
    return packages.newest(kind, ordered) if ordered else ""


def _by_name(listed: Iterable[Package]) -> dict[tuple[str, str], dict[str, Package]]:
    found: dict[tuple[str, str], dict[str, Package]] = defaultdict(dict)
    for each in listed:
        found[each.name, each.arch][each.version] = each
    return found


def _wire(change: Change) -> dict[str, str]:
    return {
        "kind": change.kind, "name": change.name, "arch": change.arch, "old": change.old, "new": change.new,
    }  # fmt: skip
