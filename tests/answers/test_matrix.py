"""The whole matrix, pairwise: releases, roles, layouts, networks and sites, each file's hash, and some checked.

Every two values of different columns meet in at least one machine, unless no such machine can be. `matrix.txt` has one
line for each, so that a change shows whom it touches. `make golden` writes it anew.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

import pytest

from pxeapp.answers import checks, releases, render
from pxeapp.answers.roles import work
from pxeapp.answers.roles.definition import BadRole
from pxeapp.answers.spec import AnswerSpec
from pxeapp.answers.storage import read
from pxeapp.errors import Invalid
from tests.answers import samples
from tests.answers.network import machines as racks
from tests.answers.roles.cluster import CLUSTER, OPENSTACK, TABLE, repository
from tests.answers.samples import TEMPLATES
from tests.answers.site import sample as sites
from tests.answers.storage.samples import LAYOUTS
from tests.boot import golden

Combination = tuple[str, ...]
GOLDEN = Path(__file__).parent / "golden"
SYSTEMS = {"{}-{}/{}".format(*each): each for each in releases.DIALECTS}
COLUMNS: tuple[tuple[str, ...], ...] = (
    tuple(SYSTEMS),
    ("base", "controller", "compute", "network", "block", "object", "storage"),
    tuple(LAYOUTS),
    ("dhcp", *racks.CASES),
    ("no-site", "full-site"),
)
CHECKED = 24  # by all checkers, which takes about a second each: every release among them, and most other pairs
HEX = 16
Pair = tuple[int, str, int, str]


def machine(combination: Combination) -> AnswerSpec | None:
    """The machine of a combination; None where there can be none."""
    system, role, layout, network, site = combination
    family, version, installer = SYSTEMS[system]
    of = samples.release(family, version, installer)
    carried = TABLE.of(of)
    openstack = role in OPENSTACK
    if openstack and carried and carried.default != carried.native:
        of = replace(of, repositories=(repository(f"openstack-{carried.default}"),))
    try:
        if openstack and work.uncarried(role, of, CLUSTER, TEMPLATES):
            return None
        found = samples.spec(
            family, version, role, installer, release=of, storage=read(LAYOUTS[layout]),
            vars=CLUSTER if openstack else {},
            network=None if network == "dhcp" else racks.plan(racks.CASES[network]),
        )  # fmt: skip
        return sites.with_site(found, {**found.vars, **sites.said(family)}) if site == "full-site" else found
    except (Invalid, BadRole):
        return None


@cache
def files(combination: Combination) -> dict[str, str] | None:
    """What the machine is given; None where there can be none."""
    found = machine(combination)
    if found is None:
        return None
    try:
        return {kind: render.render(kind, found, TEMPLATES) for kind in render.kinds(found.release.installer)}
    except (Invalid, BadRole):
        return None


def pairs(combination: Combination) -> set[Pair]:
    """Every two of its values, each with the number of its column."""
    return {(a, combination[a], b, combination[b]) for a, b in itertools.combinations(range(len(combination)), 2)}


@lru_cache(maxsize=1)
def selection() -> tuple[list[Combination], list[Pair]]:
    """Machines in which every possible pair occurs, greedily and always the same; and the pairs that cannot be."""
    left = {
        (a, one, b, other): None
        for a, b in itertools.combinations(range(len(COLUMNS)), 2)
        for one in COLUMNS[a]
        for other in COLUMNS[b]
    }
    chosen, impossible = [], []
    while left:
        pair = next(iter(left))
        found = next((each for each in itertools.islice(_around(pair, left), 40) if files(each) is not None), None)
        if found is None:
            impossible.append(pair)
            del left[pair]
            continue
        chosen.append(found)
        for each in pairs(found):
            left.pop(each, None)
    return chosen, impossible


def checked() -> list[Combination]:
    """Those of the selection that have the most values, and then pairs, that the earlier ones have not."""
    values: set[tuple[int, str]] = set()
    met: set[Pair] = set()
    found: list[Combination] = []
    while len(found) < CHECKED:
        best = max(selection()[0], key=lambda each: (len(set(enumerate(each)) - values), len(pairs(each) - met)))
        found.append(best)
        values |= set(enumerate(best))
        met |= pairs(best)
    return found


def _around(pair: Pair, left: dict[Pair, None]) -> Iterator[Combination]:
    """Combinations with this pair, those that cover the most others first; then with other values, in turn."""
    a, one, b, other = pair
    values = {a: one, b: other}
    for column in range(len(COLUMNS)):
        if column not in values:
            values[column] = max(COLUMNS[column], key=partial(_gain, left, values, column))
    best = tuple(values[column] for column in range(len(COLUMNS)))
    yield best
    for column in (1, 3, 2, 4, 0):
        if column not in (a, b):
            for value in COLUMNS[column]:
                yield (*best[:column], value, *best[column + 1 :])


def _gain(left: dict[Pair, None], values: dict[int, str], column: int, value: str) -> int:
    return sum(
        ((at, there, column, value) if at < column else (column, value, at, there)) in left
        for at, there in values.items()
    )


def test_whom_a_change_touches() -> None:
    chosen, impossible = selection()
    lines = []
    for combination in sorted(chosen):
        made = files(combination) or {}
        said = (f"{kind}={hashlib.sha256(text.encode()).hexdigest()[:HEX]}/{len(text)}" for kind, text in made.items())
        lines.append(" ".join((*combination, *said)))
    lines += [f"impossible: {one} with {other}" for _, one, _, other in sorted(impossible)]
    golden.check("matrix.txt", "\n".join(lines) + "\n", GOLDEN)


def test_only_what_is_said_to_be_impossible_is_left_out() -> None:
    """No release for the role's OpenStack, or an installer that cannot use the bond that it should install over."""
    chosen, impossible = selection()
    whole = sum(len(one) * len(other) for one, other in itertools.combinations(COLUMNS, 2))
    assert len(set().union(*map(pairs, chosen))) == whole - len(impossible)
    assert {(a, b) for a, _, b, _ in impossible} <= {(0, 1), (0, 3)}
    for _, system, _, value in impossible:
        assert value in OPENSTACK or (value == "installer" and not system.endswith("/kickstart"))
    for column, values in enumerate(COLUMNS):
        assert {each[column] for each in chosen} == set(values) == {each[column] for each in checked()}


@pytest.mark.parametrize("combination", checked(), ids="-".join)
def test_what_is_rendered_passes_every_check(combination: Combination) -> None:
    found = machine(combination)
    assert found is not None
    for kind, text in (files(combination) or {}).items():
        assert [str(fault) for fault in checks.check(kind, text, found)] == [], kind
