"""What is there in two versions where an installer needs one, since upstreams build for one architecture after another.

Nobody here can build what is behind. An older version that is needed and still there comes into the mirror as well;
the rest is said. Repositories of rpms are published when all of their architectures are built: none of this is for
them. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from pxeapp.sentences import few
from pxeapp.software import packages
from pxeapp.software.mirrors.closure import Closure, close
from pxeapp.software.mirrors.needs import Atom, Need
from pxeapp.software.mirrors.pool import Candidate, Pool

MOST_SAID = 10


def remarks(chosen: Iterable[Candidate]) -> tuple[str, ...]:
    """A sentence with the packages that apt installs for several architectures only in one version, and finds in more.

    For each architecture the newest version counts: it is the one that apt takes.
    """
    newest: dict[str, dict[str, str]] = {}
    for each in chosen:
        if each.same:
            known = newest.setdefault(each.name, {})
            arch = each.package.arch
            known[arch] = packages.newest("deb", [each.version, *([known[arch]] if arch in known else [])])
    skewed = [
        f"{name} ({', '.join(f'{version} for {arch}' for arch, version in sorted(known.items()))})"
        for name, known in sorted(newest.items())
        if len(set(known.values())) > 1
    ]
    if not skewed:
        return ()
    said = (
        "apt will not install these for more than one architecture on a machine, since their versions differ "
        f"(Multi-Arch: same): {few(skewed, MOST_SAID)}. Sync again when the upstream has built them for all."
    )
    return (said,)


def older(pools: Sequence[Pool], kept: Collection[int]) -> Closure:
    """What a mirror of everything that keeps the newest of each name lacks: the version that another asks for exactly.

    Documentation for all architectures is newer than the program that asks for it, until that is built again here.
    `kept` are the ids of the candidates; what is missing is what is there in another version alone.
    """
    found = [close([pool], dict(_skewed(pool, kept))) for pool in pools]
    return Closure(
        tuple(each for closure in found for each in closure.chosen),
        tuple(each for closure in found for each in closure.unsatisfied),
    )


def _skewed(pool: Pool, kept: Collection[int]) -> Iterator[tuple[Need, str]]:
    """The needs that nothing that is kept satisfies, though it has the name; and who asks."""
    for each in pool:
        for need in each.exact() if id(each) in kept else ():
            if not _is_kept(need.any_of, pool, kept) and _is_kept(
                (Atom(atom.name) for atom in need.any_of), pool, kept
            ):
                yield need, each.name


def _is_kept(atoms: Iterable[Atom], pool: Pool, kept: Collection[int]) -> bool:
    return any(id(found) in kept for atom in atoms for found in pool.satisfying(atom))
