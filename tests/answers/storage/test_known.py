"""A layout against the disks that we know of a machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pxeapp.answers.spec import BadAnswerValue
from pxeapp.answers.storage import read
from pxeapp.answers.storage.known import Disk, problems
from tests.answers.samples import DATA, KEEP, SYSTEM, spec
from tests.answers.storage.samples import LAYOUTS

GB = 10**9
DISKS = (
    Disk("disk/by-path/1", "system", "SYS1", 480 * GB),
    Disk("disk/by-path/2", "system", "SYS2", 480 * GB),
    Disk("disk/by-path/3", "data", "DATA1", 4000 * GB),
    Disk("disk/by-path/4", "keep", "KEEP1", 4000 * GB),
    Disk("disk/by-path/5", "system"),
)


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"system": "disk/by-path/3"}, "layout.system.0", "disks to hold data"),
        ({"system": {"serial": "keep1"}}, "layout.system.0", "disks to keep"),
        ({"groups": {"x": {"disks": [{"serial": "DATA1"}]}}}, "layout.groups.x.disks.0", "disks to hold data"),
        ({"raw": [{"serial": "DATA1", "format": "xfs"}]}, "layout.raw.0", "disks to hold data"),
        ({"system": {"size": "480G"}}, "layout.system.0", "is ambiguous: 2 of the machine's disks fit"),
        ({"system": {"serial": "SYS1"}, "volumes": {"/": "600G", "swap": "rest"}}, "layout.volumes", "646.6 GB"),
        ({"volumes": {"/": "rest", "/var": "500G"}}, "layout.volumes", "disk/by-path/1 has 480 GB"),
        ({"system": {"size": "240G"}, "volumes": {"/": "rest", "/var": "300G"}}, "layout.system.0", "252 GB at most"),
        ({"raw": ["disk/by-path/1"]}, "layout.raw.0", "which the system goes on"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_on_this_machine(said: Any, field: str, words: str) -> None:
    found = list(problems(read(said), DISKS))
    assert [(each.field, words in each.problem) for each in found] == [(field, True)], found


@pytest.mark.parametrize(
    "said",
    [
        {"system": {"serial": "SYS2"}},
        {"system": {"size": "480G", "count": 2}, "raid": 1, "volumes": {"/": "rest"}},
        {"system": {"size": "480G", "model": "X*"}},  # only one of the two may be of that model
        {"system": {"size": "smallest"}},
        {"system": {"serial": "unheard-of"}},  # we need not know every disk
        {"raw": [{"serial": "DATA1"}, {"size": ">=3.5T"}]},
        {"volumes": {"/": "400G", "swap": "rest"}},
    ],
)
def test_what_may_be_right_is_left_to_the_machine(said: Any) -> None:
    assert list(problems(read(said), DISKS)) == []


def test_the_specification_refuses_a_layout_that_writes_to_a_kept_disk() -> None:
    for disk in (*DATA, *KEEP):
        with pytest.raises(BadAnswerValue) as refused:
            spec("rocky", "9", storage=read({"system": disk}))
        assert [each.field for each in refused.value.problems] == ["vars.layout.system.0"]
    with pytest.raises(BadAnswerValue) as refused:
        spec("debian", "13", storage=read({"raw": [SYSTEM]}))
    assert [each.field for each in refused.value.problems] == ["vars.layout.raw.0"]
    assert replace(spec("debian", "13"), storage=read(LAYOUTS["spare"])).storage.groups
