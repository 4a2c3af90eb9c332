"""Versions are compared as dpkg and rpm compare them; lists of packages come back from the store as they were."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxeapp.software import packages
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Package, compare

DEBS = (
    "1.0", "1.0-1", "1:0.9", "1.0~rc1", "1.0~~", "1.0+dfsg", "1.0a", "1.0.1", "1.10", "1.9", "0", "1.0-1+b1",
    "1.0-1~bpo12+1", "2:1.0-0ubuntu1", "10", "1.a", "1.+",
)  # fmt: skip
RPMS = (
    ("1.0-1", "1.0-2", -1), ("1.0-1.el9", "1.0-1.el9_4", -1), ("1:1.0-1", "2.0-1", 1), ("1.0~rc1-1", "1.0-1", -1),
    ("1.0^git1-1", "1.0-1", 1), ("1.0^git1-1", "1.0.1-1", -1), ("1.10-1", "1.9-1", 1), ("1.0a-1", "1.0-1", 1),
    ("1.0.a-1", "1.0.1-1", -1), ("1.0-1", "1.0-1", 0), ("1.001-1", "1.1-1", 0), ("1_0-1", "1.0-1", 0),
    ("1.0~rc1-1", "1.0~rc1^git-1", -1), ("2.0-1", "10.0-1", -1), ("0:1.0-1", "1.0-1", 0),
)  # fmt: skip


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed here")
def test_debian_versions_are_ordered_as_dpkg_orders_them() -> None:
    script = (
        'for v in "$@"; do for w in "$@"; do dpkg --compare-versions "$v" lt "$w" && echo "$v $w"; done; done; true'
    )
    ran = subprocess.run(["sh", "-c", script, "sh", *DEBS], capture_output=True, text=True, timeout=60, check=True)
    older = {tuple(line.split(" ")) for line in ran.stdout.splitlines()}
    assert {pair for pair in itertools.product(DEBS, DEBS) if compare("deb", *pair) < 0} == older


@pytest.mark.parametrize(("left", "right", "order"), RPMS)
def test_rpm_versions_are_ordered_as_rpm_orders_them(left: str, right: str, order: int) -> None:
    assert compare("rpm", left, right) == order
    assert compare("rpm", right, left) == -order


@pytest.mark.skipif(shutil.which("rpm") is None, reason="rpm is not installed here")
def test_rpm_itself_agrees_with_the_table() -> None:
    lines = "".join(
        f'print(rpm.vercmp("{left}", "{right}") .. " ")\n' for left, right, _ in RPMS if ":" not in left + right
    )
    ran = subprocess.run(["rpm", "--eval", f"%{{lua:{lines}}}"], capture_output=True, text=True, timeout=60, check=True)
    assert [int(line) for line in ran.stdout.split()] == [each[2] for each in RPMS if ":" not in each[0] + each[1]]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(("deb", "rpm")), *[st.text("01a~+.-:^", min_size=1, max_size=6).map("1".__add__)] * 3)
def test_versions_have_one_order(kind: packages.Kind, one: str, two: str, three: str) -> None:
    one, two, three = (each.replace(":", "") for each in (one, two, three))
    assert compare(kind, one, two) == -compare(kind, two, one)
    if compare(kind, one, two) <= 0 and compare(kind, two, three) <= 0:
        assert compare(kind, one, three) <= 0


@pytest.mark.parametrize(
    ("kind", "version", "relation", "wanted", "holds"),
    [
        ("deb", "1.2-1", ">=", "1.2", True), ("deb", "1.2-1", "<<", "1.2", False), ("deb", "1.2-1", "", "", True),
        ("rpm", "1.2-1.el9", "=", "1.2", True), ("rpm", "1.2-1.el9", "=", "1.2-2.el9", False),
        ("rpm", "1:1.2-1", ">=", "2.0", True), ("rpm", "1.2-1", "<", "1.2", False),
    ],
)  # fmt: skip
def test_a_dependency_is_satisfied_or_not(
    kind: packages.Kind, version: str, relation: str, wanted: str, *, holds: bool
) -> None:
    assert packages.satisfies(kind, version, relation, wanted) is holds


def test_a_list_is_kept_in_one_order_and_comes_back_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found = [
        Package(
            "deb", name, "1:1-1", "amd64", f"pool/{name}.deb", "0" * 64, 7, "src", "Ünï\u2028code", f"Package: {name}"
        )
        for name in ("b", "a")
    ]
    kept = packages.save(store, found)
    assert packages.save(store, reversed(found)) == kept
    assert packages.load(store, kept) == sorted(found, key=lambda each: each.name)
    assert packages.load(store, kept)[0].stanza == "Package: a"
    assert packages.load(store, "") == []
