"""What a list of wanted packages comes to: on indices that anybody could make up, and on cases from the field."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxeapp.software.mirrors import deb_index, deb_needs
from pxeapp.software.mirrors.closure import Closure, Rules, close
from pxeapp.software.mirrors.pool import Pool

FEW = settings(max_examples=40)  # small indices find what there is to find
NAMES = st.sampled_from([f"p{number}" for number in range(12)])
VERSIONS = st.sampled_from(["1", "1:0.5", "2~rc1", "2", "2-1"])
RELATION = st.sampled_from([" (>= 2)", " (<< 2)", " (= 1)", "", "", ""])
ALTERNATIVES = st.lists(st.tuples(NAMES, RELATION).map("".join), min_size=1, max_size=3).map(" | ".join)
FIELD = st.lists(ALTERNATIVES, max_size=3).map(", ".join)
PACKAGE = st.fixed_dictionaries(
    {
        "Package": NAMES,
        "Version": VERSIONS,
        "Depends": FIELD,
        "Pre-Depends": FIELD,
        "Recommends": FIELD,
        "Conflicts": st.lists(NAMES, max_size=1).map(", ".join),
        "Provides": st.lists(NAMES, max_size=2).map(", ".join),
    }
)
INDEX = st.lists(PACKAGE, max_size=14)


def paragraph(**fields: str) -> str:
    said = {"Version": "1", "Architecture": "amd64", **fields}
    name = f"{said['Package']}_{said['Version'].replace(':', '%3a')}_{said['Architecture']}"
    said |= {"Filename": f"pool/main/{name}.deb", "Size": "10", "SHA256": "a" * 64}
    return "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in said.items() if value)


def pool(*packages: dict[str, str], architecture: str = "amd64") -> Pool:
    text = "\n".join(paragraph(**each) for each in packages)
    return Pool("deb", architecture, deb_index.read(text, 0, "an index"))


def closed(at: Sequence[Pool] | Pool, *wanted: str, weak: bool = False) -> Closure:
    needs = {need: "you" for text in wanted for need in deb_needs.read(text)}
    return close([at] if isinstance(at, Pool) else at, needs, Rules(weak=weak))


def names(closure: Closure) -> list[str]:
    return [each.name for each in closure.chosen]


def chosen(closure: Closure) -> set[tuple[str, str]]:
    return {(each.name, each.version) for each in closure.chosen}


@FEW
@given(INDEX, st.sets(NAMES, max_size=4), st.booleans())
def test_whatever_is_chosen_finds_what_it_needs_among_the_chosen_or_it_is_listed(
    index: list[dict[str, str]], wanted: set[str], weak: bool
) -> None:
    at = pool(*index)
    found = closed(at, *wanted, weak=weak)
    listed = {each.what for each in found.unsatisfied}
    here = {id(each) for each in found.chosen}
    asked = [(need, "you") for name in wanted for need in deb_needs.read(name)]
    asked += [(need, each.name) for each in found.chosen for need in each.needs() if not need.weak]
    for need, by in asked:
        satisfied = any(id(each) in here for atom in need.any_of for each in at.satisfying(atom))
        assert satisfied != (str(need) in listed), f"{by} needs {need}"


@FEW
@given(INDEX, st.lists(NAMES, max_size=5, unique=True))
def test_the_order_of_anything_changes_nothing(index: list[dict[str, str]], wanted: list[str]) -> None:
    found = closed(pool(*index), *wanted)
    again = closed(pool(*index), *reversed(wanted))
    assert (chosen(found), found.unsatisfied) == (chosen(again), again.unsatisfied)


@FEW
@given(INDEX, st.sets(NAMES, max_size=4), NAMES, st.booleans())
def test_one_more_wanted_package_never_removes_another(
    index: list[dict[str, str]], wanted: set[str], more: str, weak: bool
) -> None:
    at = pool(*index)
    assert chosen(closed(at, *wanted, weak=weak)) <= chosen(closed(at, *wanted, more, weak=weak))


@FEW
@given(INDEX, st.sets(NAMES, max_size=4))
def test_recommendations_only_add(index: list[dict[str, str]], wanted: set[str]) -> None:
    at = pool(*index)
    assert chosen(closed(at, *wanted)) <= chosen(closed(at, *wanted, weak=True))


def test_of_alternatives_the_first_that_there_is_is_taken() -> None:
    at = pool({"Package": "a", "Depends": "gone | b | c"}, {"Package": "b"}, {"Package": "c"})
    assert names(closed(at, "a")) == ["a", "b"]


def test_one_that_was_chosen_for_another_reason_does_not_replace_the_first() -> None:
    at = pool({"Package": "a", "Depends": "b | c"}, {"Package": "b"}, {"Package": "c"})
    assert names(closed(at, "a", "c")) == ["a", "b", "c"]


def test_where_the_first_alternative_conflicts_with_a_chosen_package_the_next_comes_too() -> None:
    at = pool(
        {"Package": "a", "Depends": "exim | postfix"},
        {"Package": "exim", "Conflicts": "mta"},
        {"Package": "postfix", "Provides": "mta"},
        {"Package": "sendmail", "Provides": "mta"},
    )
    assert names(closed(at, "a")) == ["a", "exim"]
    assert names(closed(at, "a", "sendmail")) == ["a", "exim", "postfix", "sendmail"]


def test_the_package_of_that_name_is_preferred_to_those_that_provide_it() -> None:
    at = pool({"Package": "a", "Depends": "awk"}, {"Package": "mawk", "Provides": "awk"}, {"Package": "awk"})
    assert names(closed(at, "a")) == ["a", "awk"]


def test_of_those_that_provide_a_name_the_distributions_default_is_taken() -> None:
    at = pool(
        {"Package": "a", "Depends": "mta"},
        {"Package": "qmail", "Provides": "mta", "Priority": "optional"},
        {"Package": "exim4-daemon", "Provides": "mta, default-mta", "Priority": "optional"},
    )
    assert names(closed(at, "a")) == ["a", "exim4-daemon"]


def test_a_required_package_is_preferred_and_then_the_shorter_name() -> None:
    at = pool(
        {"Package": "a", "Depends": "awk, editor"},
        {"Package": "gawk", "Provides": "awk", "Priority": "optional"},
        {"Package": "mawk-x", "Provides": "awk", "Priority": "required"},
        {"Package": "vim-nox", "Provides": "editor"},
        {"Package": "nano", "Provides": "editor"},
    )
    assert names(closed(at, "a")) == ["a", "mawk-x", "nano"]


def test_a_version_that_is_too_old_is_missing_by_name_with_who_asked() -> None:
    at = pool({"Package": "a", "Depends": "b (>= 2)"}, {"Package": "c", "Depends": "b (>= 2)"}, {"Package": "b"})
    found = closed(at, "a", "c")
    assert [(each.what, each.by) for each in found.unsatisfied] == [("b (>= 2)", ("a", "c"))]
    assert names(found) == ["a", "c"]


def test_a_wanted_package_that_there_is_not_is_missing_because_of_who_wanted_it() -> None:
    assert [(each.what, each.by) for each in closed(pool(), "nova").unsatisfied] == [("nova", ("you",))]


def test_the_newest_version_is_taken_unless_somebody_needs_an_older_one() -> None:
    at = pool({"Package": "b"}, {"Package": "b", "Version": "2"}, {"Package": "a", "Depends": "b (= 1)"})
    assert chosen(closed(at, "b")) == {("b", "2")}
    assert chosen(closed(at, "a")) == {("a", "1"), ("b", "1")}


def test_only_a_versioned_provision_satisfies_a_versioned_need() -> None:
    at = pool(
        {"Package": "a", "Depends": "b (>= 2)"},
        {"Package": "c", "Provides": "b"},
        {"Package": "new-c", "Provides": "b (= 2.1)"},
    )
    assert names(closed(at, "a")) == ["a", "new-c"]


def test_circles_end() -> None:
    at = pool({"Package": "a", "Depends": "b"}, {"Package": "b", "Pre-Depends": "a"})
    assert names(closed(at, "a")) == ["a", "b"]


def test_a_recommendation_that_there_is_not_is_no_fault() -> None:
    found = closed(pool({"Package": "a", "Recommends": "b"}), "a", weak=True)
    assert (names(found), found.unsatisfied) == (["a"], ())


def test_each_architecture_is_whole_and_what_serves_all_is_there_once() -> None:
    one = deb_index.read(paragraph(Package="doc", Architecture="all", Depends="sh"), 0, "an index")
    shared = list(one)
    pools = [
        Pool(
            "deb",
            name,
            [*deb_index.read(paragraph(Package="sh", Architecture=name, Multi_Arch="same"), 0, "x"), *shared],
        )
        for name in ("amd64", "arm64")
    ]
    found = closed(pools, "doc")
    assert sorted((each.name, each.package.arch) for each in found.chosen) == [
        ("doc", "all"), ("sh", "amd64"), ("sh", "arm64"),
    ]  # fmt: skip


def test_another_architecture_serves_where_the_package_says_that_it_can() -> None:
    native = pool({"Package": "a", "Depends": "tool, lib"})
    other = pool(
        {"Package": "tool", "Multi-Arch": "foreign", "Architecture": "i386"},
        {"Package": "lib", "Multi-Arch": "same", "Architecture": "i386"},
        architecture="i386",
    )
    found = closed([native, other], "a")
    assert ("tool", "1") in chosen(found)
    assert [each.what for each in found.unsatisfied if each.architecture == "amd64"] == ["lib"]


@pytest.mark.parametrize("qualifier", [":any", ":amd64", ":native"])
def test_a_qualifier_of_our_own_architecture_changes_nothing(qualifier: str) -> None:
    at = pool({"Package": "a", "Depends": f"python3{qualifier} (>= 1)"}, {"Package": "python3"})
    assert names(closed(at, "a")) == ["a", "python3"]
