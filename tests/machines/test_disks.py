"""What can be said of a machine's disks, and what is refused, each by its field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pxeapp.machines import wire
from pxeapp.machines.disks import KnownDisk, in_words
from pxeapp.machines.wire import MachineChange


def refused(disks: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        MachineChange.model_validate({"disks": disks})
    return [(each.field, each.fix) for each in wire.problems(caught.value)]


@pytest.mark.parametrize(
    ("disk", "field"),
    [
        ({}, "path"), ({"serial": "S1"}, "path"), (5, ""), (["sda"], ""), (True, ""),
        ("sda\nsdb", ""), ("$(reboot)", ""), ("x" * 300, ""), ("", ""), ("/dev/../etc", ""),
        ({"path": "disk/by-id/ж"}, "path"), ({"path": None}, "path"), ({"path": "sda", "x": 1}, "x"),
        ({"path": "sda", "serial": "a\nb"}, "serial"), ({"path": "sda", "serial": 123}, "serial"),
        ({"path": "sda", "serial": "$(id)"}, "serial"), ({"path": "sda", "serial": ""}, "serial"),
        ({"path": "sda", "wwn": "ж"}, "wwn"), ({"path": "sda", "wwn": "a" * 101}, "wwn"),
        ({"path": "sda", "model": "INTEL*"}, "model"), ({"path": "sda", "model": "%end\nx"}, "model"),
        ({"path": "sda", "model": '"x"'}, "model"), ({"path": "sda", "model": "\ud800"}, "model"),
        ({"path": "sda", "size": "big"}, "size"), ({"path": "sda", "size": -1}, "size"),
        ({"path": "sda", "size": 480}, "size"), ({"path": "sda", "size": True}, "size"),
        ({"path": "sda", "size": 1.5}, "size"), ({"path": "sda", "size": "9" * 5000}, "size"),
        ({"path": "sda", "size": 10**5000}, "size"), ({"path": "sda", "size": 1 << 61}, "size"),
        ({"path": "sda", "size": ">=480G"}, "size"), ({"path": "sda", "size": {}}, "size"),
        ({"path": "sda", "rotational": "perhaps"}, "rotational"),
    ],
)  # fmt: skip
def test_what_no_disk_can_be_is_refused_by_field(disk: Any, field: str) -> None:
    for disks, where in (({"system": disk}, "disks.system"), ({"data": ["sdz", disk]}, "disks.data.1")):
        [(found, fix)] = refused(disks)
        assert found == (f"{where}.{field}" if field else where)
        assert fix


@pytest.mark.parametrize(
    "disks",
    [
        {"system": "sda", "data": ["sda"]},
        {"data": [{"path": "sda", "serial": "S1"}], "free": [{"path": "sdb", "serial": "s1"}]},
        {"data": [{"path": "sda", "wwn": "0x5001"}, {"path": "sdb", "wwn": "5001"}]},
    ],
)
def test_one_disk_for_two_purposes_is_refused(disks: Any) -> None:
    [(field, fix)] = refused(disks)
    assert (field, fix) == ("disks", "Name each disk once.")


@pytest.mark.parametrize(
    ("said", "size"),
    [("480G", 480 * 10**9), ("3.84TB", 3_840 * 10**9), ("447Gi", 447 << 30), (480103981056, 480103981056),
     ("480103981056", 480103981056), (None, None)],
)  # fmt: skip
def test_sizes_as_on_the_label_or_in_bytes(said: Any, size: int | None) -> None:
    found = MachineChange.model_validate({"disks": {"free": [{"path": "sda", "size": said}]}})
    assert found.disks is not None
    assert [disk.size for disk in found.disks.known([])] == [size]


def test_what_is_known_of_a_disk_in_one_line() -> None:
    disk = KnownDisk("sda", "data", "Z1D0", 4 * 10**12, "0x5000c500a1b2c3d4", "ST4000NM0035", rotational=True)
    assert in_words(disk) == "4 TB, ST4000NM0035, serial Z1D0, WWN 0x5000c500a1b2c3d4, spins"
    assert in_words(KnownDisk("sda", rotational=False)) == "does not spin"
    assert in_words(KnownDisk("sda")) == ""
