"""An upstream builds for one architecture after another: what a mirror does about it, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pxeapp.software.mirrors import choosing, deb_index, skew
from pxeapp.software.mirrors.choosing import Choice
from pxeapp.software.mirrors.reading import Reading, pools
from pxeapp.software.mirrors.selection import Selection, Source
from tests.software.mirrors.test_closure import paragraph

EVERYTHING = Selection("deb", (Source("debian", suite="trixie"),), ("amd64",), everything=True)
BOTH = replace(EVERYTHING, architectures=("amd64", "i386"))


def chosen(selection: Selection, *packages: dict[str, str]) -> Choice:
    index = deb_index.read("\n".join(paragraph(**each) for each in packages), 0, "an index")
    reading = Reading(pools("deb", [(each.architecture, each) for each in index], selection.architectures))
    return choosing.choose(reading, selection, {})


def files(found: Choice) -> list[str]:
    return [f"{each.name} {each.version} {each.package.arch}" for each in found.chosen]


def package(name: str, version: str = "1", arch: str = "amd64", **more: Any) -> dict[str, str]:
    return {"Package": name, "Version": version, "Architecture": arch, **more}


def test_of_several_architectures_the_newest_versions_are_compared_and_named() -> None:
    same = {"Multi_Arch": "same"}
    found = chosen(
        BOTH, package("liba", "2", **same), package("liba", "1", "i386", **same),
        package("libb", "1:3", **same), package("libb", "1:3", "i386", **same),
        package("tool", "2"), package("tool", "1", "i386"),  # they are not there for both at once
        package("libc", "9", **same),  # of one architecture alone
    )  # fmt: skip
    (said,) = found.remarks
    assert "(Multi-Arch: same): liba (2 for amd64, 1 for i386). Sync again" in said
    assert chosen(EVERYTHING, package("liba", "2", **same), package("liba", "1", **same)).remarks == ()


def test_very_many_are_counted() -> None:
    many = [
        package(f"lib{number:02d}", version, arch, Multi_Arch="same")
        for number in range(skew.MOST_SAID + 7)
        for version, arch in (("2", "amd64"), ("1", "i386"))
    ]
    (said,) = chosen(BOTH, *many).remarks
    assert "lib09 (2 for amd64, 1 for i386) and 7 more. Sync" in said


def test_the_older_version_for_all_architectures_stays_with_the_program_that_is_not_built_again_yet() -> None:
    index = [
        package("program", "1", Depends="program-data (= 1), program-doc (= 1) | nothing"),
        package("program-data", "1", "all", Depends="program-common (= 1)"), package("program-data", "2", "all"),
        package("program-common", "1", "all"), package("program-common", "2", "all"),
        package("program-doc", "1", "all"), package("other", "1", "all"), package("other", "2", "all"),
    ]  # fmt: skip
    found = chosen(EVERYTHING, *index)
    assert files(found) == [
        "other 2 all", "program 1 amd64", "program-common 1 all", "program-common 2 all", "program-data 1 all",
        "program-data 2 all", "program-doc 1 all",
    ]  # fmt: skip
    assert found.unsatisfied == ()


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([package("program-data", "2", "all")], ["program-data (= 1)"]),  # no upstream has what it was built with
        ([], []),  # it is of another mirror, as debug symbols are
    ],
)
def test_what_is_there_in_another_version_alone_is_listed(there: list[dict[str, str]], missing: list[str]) -> None:
    found = chosen(EVERYTHING, package("program", "1", Depends="program-data (= 1)"), *there)
    assert [each.what for each in found.unsatisfied] == missing
    assert all(each.by == ("program",) for each in found.unsatisfied)
