"""What can be said of disks, and what is refused: each fault with its field and what to write instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxeapp.answers.storage import LVM, PLAIN, packages, problems, read, sizes
from pxeapp.errors import Invalid
from tests.answers.storage.samples import LAYOUTS, PAIR

GIB = 1024


def test_the_words_of_before_mean_what_they_meant() -> None:
    assert (read("plain"), read("lvm")) == (PLAIN, LVM)
    assert PLAIN.simple
    assert LVM.simple
    assert read({"root": "lvm", "system": "sda"}).simple  # only which disk: how it is divided is the installer's own


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_sample_is_read_and_comes_back_the_same_from_json(name: str) -> None:
    assert problems(LAYOUTS[name]) == []
    assert read(json.loads(json.dumps(LAYOUTS[name]))) == read(LAYOUTS[name])


def test_what_grows_stands_last_and_boot_is_a_size() -> None:
    layout = read({"volumes": {"/": "rest", "/var": "40G", "swap": "512M", "/boot": "2G"}})
    assert [(volume.mount, volume.mib) for volume in layout.volumes] == [
        ("swap", 512), ("/var", 40 * GIB), ("/", None)
    ]  # fmt: skip
    assert layout.boot_mib == 2 * GIB


def test_raid_10_shares_a_volume_among_half_of_its_disks() -> None:
    layout = read({"system": {"model": "X*", "count": 6}, "raid": 10, "root": "lvm", "volumes": {"/": "30G"}})
    assert (layout.disks, layout.members, layout.share(30 * GIB)) == (6, 3, 10 * GIB)
    assert layout.needed_mib < 13 * GIB


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("480G", 456_000_000_000, 504_000_000_000),
        ("447Gi", 455_964_465_562, 503_960_725_094),
        (">=3.5T", 3_500_000_000_000, None),
        ("<= 1T", None, 1_000_000_000_000),
        ("400G-500G", 400_000_000_000, 500_000_000_000),
        ("3.84TB", 3_648_000_000_000, 4_032_000_000_000),
    ],
)
def test_the_sizes_of_disks(said: str, least: int | None, most: int | None) -> None:
    assert sizes.disk_range(said) == (least, most)


@pytest.mark.parametrize(
    ("said", "mib"), [("20G", 20480), ("1.5T", 1572864), ("512M", 512), ("20GiB", 20480), (2048, 2048), ("4096", 4096)]
)
def test_the_sizes_of_volumes(said: Any, mib: int) -> None:
    assert sizes.volume_mib(said) == mib


V = {"/": "rest"}
GROUP = {"disks": ["sdb"]}


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        (5, "layout", "is not a layout"),
        (None, "layout", "is not a layout"),
        (["plain"], "layout", "is not a layout"),
        ("zfs", "layout", "'zfs' is not a layout"),
        ({"disks": []}, "layout.disks", "is not known"),
        ({"root": "btrfs"}, "layout.root", "is not possible"),
        ({"filesystem": "zfs"}, "layout.filesystem", "is not a file system"),
        ({"raid": 5, "system": PAIR}, "layout.raid", "Use none, 1 or 10"),
        ({"raid": True, "system": PAIR}, "layout.raid", "Use none, 1 or 10"),
        ({"raid": 1}, "layout.system", "RAID 1 needs two"),
        ({"raid": 1, "system": ["sda"]}, "layout.system", "RAID 1 needs two"),
        ({"raid": 10, "system": PAIR}, "layout.system", "RAID 10 needs an even number"),
        ({"raid": 10, "system": {"model": "*", "count": 5}}, "layout.system", "RAID 10 needs an even number"),
        ({"system": PAIR}, "layout.system", "names 2 disks without RAID"),
        ({"system": 7}, "layout.system", "is not a list of hints"),
        ({"system": [7]}, "layout.system.0", "is not a hint"),
        ({"system": [{}]}, "layout.system.0", "says nothing of the disk"),
        ({"system": [{"count": 2}]}, "layout.system.0", "says nothing of the disk"),
        ({"system": {"serial": 12345}}, "layout.system.0.serial", "in quotes"),
        ({"system": {"serial": "a b"}}, "layout.system.0.serial", "is not possible"),
        ({"system": {"wwn": "$(id)"}}, "layout.system.0.wwn", "is not possible"),
        ({"system": {"model": "x[0-9]"}}, "layout.system.0.model", "is not possible"),
        ({"system": "../sda"}, "layout.system.0.path", "disk/by-path"),
        ({"system": "disk/by-label/x"}, "layout.system.0.path", "disk/by-path"),
        ({"system": {"size": "big"}}, "layout.system.0.size", "is not a size"),
        ({"system": {"size": "500G-400G"}}, "layout.system.0.size", "is not a size"),
        ({"system": {"size": "9999999999P"}}, "layout.system.0.size", "is not a size"),
        ({"system": {"rotational": "no"}}, "layout.system.0.rotational", "true nor false"),
        ({"system": {"speed": 1}}, "layout.system.0.speed", "is not known"),
        ({"system": {"model": "x", "count": 0}}, "layout.system.0.count", "Write 1 to 64"),
        ({"system": {"serial": "x", "count": 2}, "raid": 1}, "layout.system.0.count", "cannot all be that one"),
        ({"system": {"size": "largest", "count": 2}, "raid": 1}, "layout.system.0.count", "cannot all be that one"),
        ({"volumes": []}, "layout.volumes", "is not an object"),
        ({"volumes": {}}, "layout.volumes", "no root file system"),
        ({"volumes": {"/var": "rest"}}, "layout.volumes", "no root file system"),
        ({"volumes": {**V, "/var": "rest"}}, "layout.volumes", "Leave one"),
        ({"volumes": {"/": "20G"}}, "layout.volumes", "no partition has"),
        ({"volumes": {**V, "/boot": "rest"}}, "layout.volumes./boot", "cannot take the rest"),
        ({"volumes": {**V, "/boot": "100M"}}, "layout.volumes./boot", "too few"),
        ({"volumes": {**V, "/boot/efi": "1G"}}, "layout.volumes./boot/efi", "We make it ourselves"),
        ({"volumes": {**V, "/etc": "1G"}}, "layout.volumes./etc", "must be on the root file system"),
        ({"volumes": {**V, "/usr/lib": "1G"}}, "layout.volumes./usr/lib", "must be on the root file system"),
        ({"volumes": {**V, "var": "1G"}}, "layout.volumes.var", "neither swap nor a mount point"),
        ({"volumes": {**V, "/a/../b": "1G"}}, "layout.volumes./a/../b", "neither swap nor a mount point"),
        ({"volumes": {**V, "/va r": "1G"}}, "layout.volumes./va r", "neither swap nor a mount point"),
        ({"volumes": {**V, "/var": "1G", "/var/": "2G"}}, "layout.volumes./var/", "said twice"),
        ({"volumes": {**V, "/var": "5%"}}, "layout.volumes./var", "is not a size"),
        ({"volumes": {**V, "/var": "1M"}}, "layout.volumes./var", "too few"),
        ({"volumes": {**V, "/boot": "511M"}}, "layout.volumes./boot", "Write 512M or more"),
        ({"volumes": {"/": "64M", "/var": "rest"}}, "layout.volumes./", "Write 2048M or more"),
        ({"root": "lvm", "volumes": {"/": "64M"}}, "layout.volumes./", "Write 2048M or more"),
        ({"volumes": {**V, "/var/tmp": "128M"}, "filesystem": "xfs"}, "layout.volumes./var/tmp", "Write 300M or more"),
        ({"volumes": {**V, "/var/tmp": "299M"}}, "layout.volumes./var/tmp", "Write 300M or more"),
        ({"volumes": {**V, "/srv": "300M"}, "raid": 1, "system": PAIR}, "layout.volumes./srv", "Write 308M or more"),
        ({"volumes": {**V, "/srv": "63M"}, "filesystem": "ext4"}, "layout.volumes./srv", "Write 64M or more"),
        ({"volumes": {**V, "swap": "63M"}}, "layout.volumes.swap", "Write 64M or more"),
        ({"root": "lvm", "volumes": {**V, "swap": "1G", "/swap": "1G"}}, "layout.volumes./swap", "as swap is"),
        ({"volumes": {**V, "swap": "1G", "/swap": "1G"}}, "layout.volumes./swap", "as swap is"),
        ({"root": "lvm", "volumes": {**V, "/var/log": "1G", "/var_log": "1G"}}, "layout.volumes./var_log", "/var/log"),
        ({"volumes": {**V, "/esp": "1G"}}, "layout.volumes./esp", "the EFI system partition"),
        ({"volumes": {**V, "/boot_efi": "1G"}, "raid": 1, "system": PAIR}, "layout.volumes./boot_efi", "/boot/efi"),
        ({"root": "lvm", "volumes": {**V, "/snapshots": "1G"}}, "layout.volumes./snapshots", "LVM keeps"),
        (
            {"volumes": {**V, f"/{'x' * 40}": "1G", f"/{'x' * 41}": "1G"}, "raid": 1, "system": PAIR},
            f"layout.volumes./{'x' * 41}", f"would be named {'x' * 29},",
        ),
        ({"groups": []}, "layout.groups", "is not an object"),
        ({"groups": {"-x": GROUP}}, "layout.groups.-x", "is not a volume group's name"),
        ({"groups": {"..": GROUP}}, "layout.groups...", "is not a volume group's name"),
        ({"groups": {"a b": GROUP}}, "layout.groups.a b", "is not a volume group's name"),
        ({"groups": {"system": GROUP}}, "layout.groups.system", "is not a volume group's name"),
        ({"groups": {"x": []}}, "layout.groups.x", "is not an object"),
        ({"groups": {"x": {}}}, "layout.groups.x.disks", "names no disk"),
        ({"groups": {"x": {**GROUP, "size": 1}}}, "layout.groups.x.size", "is not known"),
        ({"groups": {"x": {**GROUP, "wipe": "yes"}}}, "layout.groups.x.wipe", "true nor false"),
        ({"raw": 5}, "layout.raw", "is not a list of hints"),
        ({"raw": [{"serial": "x", "format": "zfs"}]}, "layout.raw.0.format", "is not a file system"),
        ({"raw": [{"serial": "x", "mount": "/srv"}]}, "layout.raw.0.mount", 'Add "format"'),
        ({"raw": [{"serial": "x", "wipe": True}]}, "layout.raw.0.wipe", 'Add "format"'),
        ({"raw": [{"serial": "x", "format": "xfs", "mount": "srv"}]}, "layout.raw.0.mount", "is not a mount point"),
        ({"raw": [{"model": "x", "format": "xfs", "mount": "/srv", "count": 2}]}, "layout.raw.0.mount", "Number them"),
        ({"raw": [{"serial": "x", "format": "xfs", "mount": "/boot"}]}, "layout.raw.0.mount", "mounted already"),
        ({"system": "sda", "groups": {"x": {"disks": ["/dev/sda"]}}}, "layout.groups.x.disks.0", "same as system.0"),
        ({"system": {"serial": "A"}, "raw": [{"serial": "a"}]}, "layout.raw.0", "same as system.0"),
        ({"system": [{"size": "480G"}, {"size": "480G"}], "raid": 1}, "layout.system.1", "add a count"),
    ],
)  # fmt: skip
def test_what_is_refused(said: Any, field: str, words: str) -> None:
    found = problems(said)
    assert any(each.field == field and words in str(each) for each in found), found
    assert all(each.fix for each in found)
    with pytest.raises(Invalid):
        read(said)


@pytest.mark.parametrize(
    "said",
    [
        {"volumes": {"/": "2G", "/var": "rest", "/srv": "300M", "swap": "64M", "/boot": "512M"}},
        {"volumes": {**V, "/srv": "64M", "/swap": "1G"}, "filesystem": "ext4"},
        {"root": "lvm", "volumes": {**V, "/esp": "300M", "/var/log": "1G", "/var_logs": "1G"}},
        {"volumes": {**V, f"/{'x' * 40}": "1G", f"/{'x' * 41}": "1G"}},  # names of partitions, and no array
    ],
)
def test_the_least_sizes_and_names_that_are_like_each_other_are_taken(said: Any) -> None:
    assert problems(said) == []


HOSTILE = [
    "a\nb", "'; reboot; '", "$(reboot)", "`id`", "%end", "a b", '"', "\\", "{{ spec }}", "x" * 255, "Größe", "${IFS}",
    "a,b", "!!python/object", "- x", "a: b", "#", "*", "?",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_refused_or_are_one_harmless_word(value: str) -> None:
    for said in (
        {"system": value},
        {"system": {"serial": value}},
        {"system": {"wwn": value}},
        {"system": {"model": value}},
        {"system": {"size": value}},
        {"volumes": {"/": "rest", value: "1G"}},
        {"volumes": {"/": "rest", f"/{value}": "1G"}},
        {"volumes": {"/": value}},
        {"filesystem": value},
        {"groups": {value: GROUP}},
        {"raw": [{"serial": "x", "format": "xfs", "mount": f"/srv/{value}"}]},
        {value: value},
    ):
        if not problems(said):
            assert value in ("a b", "a: b", "*", "?")  # a model's pattern; the shells get it in quotes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["system", "raid", "root", "volumes", "filesystem", "groups", "raw", "serial", "size", "/",
                         "disks", "format", "mount", "count", "path"]) | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(said=JSON)
def test_whatever_is_said_is_read_or_refused_in_sentences(said: Any) -> None:
    found = problems(said)
    assert all(each.field.startswith("layout") and each.problem for each in found)
    if not found:
        read(said)


def test_the_installed_system_gets_what_its_disks_need() -> None:
    assert packages(PLAIN, "debian") == ()
    assert packages(read(LAYOUTS["raid10-lvm"]), "el") == ("lvm2", "mdadm", "xfsprogs")
    assert packages(read(LAYOUTS["spare"]), "debian") == ("lvm2", "xfsprogs")
