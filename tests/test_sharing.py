"""What is said of files in sharing.py is said of files that there are, and the longest go first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests import sharing

ROOT = Path(__file__).parents[1]


def items(*files: str) -> list[Any]:
    return [SimpleNamespace(nodeid=f"{file}::test_{number}") for number, file in enumerate(files)]


def test_every_file_that_is_named_exists() -> None:
    assert [name for name in {*sharing.ONE_BY_ONE, *sharing.LONG} if not (ROOT / name).is_file()] == []


def test_firmware_goes_first_then_what_takes_long_then_what_has_many_tests() -> None:
    longest = max(sharing.LONG, key=lambda name: sharing.LONG[name])
    found = items("tests/a.py", "tests/b.py", "tests/b.py", longest, min(sharing.ONE_BY_ONE))
    shared = cast(Any, SimpleNamespace(workerinput={}))
    sharing.pytest_collection_modifyitems(shared, found)
    assert [item.nodeid.partition("::")[0] for item in found] == [
        min(sharing.ONE_BY_ONE), longest, "tests/b.py", "tests/b.py", "tests/a.py"
    ]  # fmt: skip
    alone = items("tests/a.py", longest)
    sharing.pytest_collection_modifyitems(cast(Any, SimpleNamespace()), alone)
    assert [item.nodeid.partition("::")[0] for item in alone] == ["tests/a.py", longest], (
        "who runs alone asks for no order"
    )


def test_two_files_with_firmware_are_work_for_one_worker() -> None:
    scopes = {sharing.scope(f"{name}::test_x") for name in sharing.ONE_BY_ONE}
    assert scopes == {sharing.FIRMWARE}
    assert sharing.scope("tests/a.py::test_x[b::c]") == "tests/a.py"
