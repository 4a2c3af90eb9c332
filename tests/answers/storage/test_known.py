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


WHOLE = (
    Disk("disk/by-path/1", "system", "S3Z9NB0K1", 480 * GB, "0x5002538e00000001", "SAMSUNG MZ7LH480", rotational=False),
    Disk("disk/by-path/2", "free", "Z1D0AAAA", 4000 * GB, "5000c500aaaaaaaa", "ST4000NM 0035", rotational=True),
    Disk("disk/by-path/3", "free", "Z1D0BBBB", 4000 * GB, "5000c500bbbbbbbb", "ST4000NM 0035", rotational=True),
    Disk("disk/by-path/4", "data", "MINE", 960 * GB, "5000c500cccccccc", "INTEL SSDSC2KB96", rotational=False),
)
MIRROR: dict[str, Any] = {"raid": 1, "volumes": {"/": "rest"}}
TWO = {"disks": [{"rotational": True, "count": 2}]}


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"system": {"serial": "Z1D0CCCC"}}, "layout.system.0", "fits none of the machine's disks (serial z1d0cccc)."),
        ({"system": {"model": "intel*"}}, "layout.system.0", "disk/by-path/4 would, but is to be kept."),
        ({"system": {"wwn": "naa.5000C500CCCCCCCC"}}, "layout.system.0", "disks to hold data"),
        ({"system": {"path": "disk/by-path/2"}, "groups": {"x": TWO}}, "layout.groups.x.disks.0", "only 1"),
        ({"system": {"size": "largest"}}, "layout.system.0", "is ambiguous: 2"),
        ({"system": {"rotational": True}}, "layout.system.0", "is ambiguous: 2"),
        ({"system": {"rotational": False, "count": 2}, **MIRROR}, "layout.system.0", "only 1"),
        ({"system": {"size": "smallest"}, "volumes": {"/": "500G", "swap": "rest"}}, "layout.volumes", "has 480 GB"),
        ({"raw": [{"size": ">=3.5T"}], "groups": {"x": TWO}}, "layout.groups.x.disks.0", "fits none"),
        ({"groups": {"x": {"disks": ["disk/by-path/1"]}}}, "layout.groups.x.disks.0", "but is used already"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_where_all_disks_are_known(said: Any, field: str, words: str) -> None:
    found = problems(read(said), WHOLE)
    assert [(each.field, words in each.problem) for each in found] == [(field, True)], found


@pytest.mark.parametrize(
    "said",
    [
        {"system": {"size": "smallest"}, "groups": {"x": TWO}},
        {"system": {"wwn": "0x5000C500AAAAAAAA"}, "raw": [{"serial": "Z1D0BBBB", "format": "xfs"}]},
        {"system": {"model": "SAMSUNG_MZ7LH480HAHQ-00005"}},  # the kernel keeps its first 16 characters
        {"system": {"serial": "SAMSUNG_MZ7LH480_S3Z9NB0K1"}},  # as udev writes it
        {"system": {"path": "disk/by-id/ata-any"}},  # a disk has several paths
        {"system": {"model": "ST4000*", "count": 2}, **MIRROR},
    ],
)
def test_what_may_be_right_where_all_disks_are_known(said: Any) -> None:
    assert problems(read(said), WHOLE) == ()


def test_one_disk_of_which_only_the_path_is_known_leaves_what_is_missing_open() -> None:
    layout = read({"system": {"serial": "Z1D0CCCC"}})
    assert problems(layout, (*WHOLE, Disk("disk/by-path/5", "keep"))) == ()
    assert problems(layout, ()) == ()


def test_a_layout_that_fits_none_of_the_known_disks_is_not_deployed_either() -> None:
    with pytest.raises(BadAnswerValue) as refused:
        spec("rocky", "9", storage=read({"system": {"model": "INTEL*"}}), known_disks=WHOLE)
    assert [each.field for each in refused.value.problems] == ["vars.layout.system.0"]


def test_the_specification_refuses_a_layout_that_writes_to_a_kept_disk() -> None:
    for disk in (*DATA, *KEEP):
        with pytest.raises(BadAnswerValue) as refused:
            spec("rocky", "9", storage=read({"system": disk}))
        assert [each.field for each in refused.value.problems] == ["vars.layout.system.0"]
    with pytest.raises(BadAnswerValue) as refused:
        spec("debian", "13", storage=read({"raw": [SYSTEM]}))
    assert [each.field for each in refused.value.problems] == ["vars.layout.raw.0"]
    assert replace(spec("debian", "13"), storage=read(LAYOUTS["spare"])).storage.groups
