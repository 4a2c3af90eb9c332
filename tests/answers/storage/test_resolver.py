"""The one script that finds the disks, run by the installers' shells on machines of every awkward kind."""

from __future__ import annotations

import shutil
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxeapp.answers.storage import Hint, read
from pxeapp.errors import Invalid
from tests.answers import shells
from tests.answers.storage.machine import GB, SHELLS, Machine, script
from tests.answers.storage.samples import LAYOUTS

every_shell = pytest.mark.parametrize("shell", [each for each in SHELLS if shutil.which(each[0])])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refused(answer: object, *words: str) -> None:
    assert isinstance(answer, str), answer
    for word in words:
        assert word in answer, answer


@every_shell
def test_without_a_hint_the_first_disk_that_stays_and_is_nobodys_is_taken(
    shell: tuple[str, ...], machine: Machine
) -> None:
    kept = {"data": ("disk/by-id/one",), "keep": ("disk/by-path/two",)}
    for name in ("loop0", "zram0", "dm-0", "md127"):
        machine.disk(name)
    machine.disk("sr0", removable=1)
    machine.disk("sda", path="disk/by-id/one")
    machine.disk("sdb", path="disk/by-path/two")
    machine.disk("sdc", removable=1)
    machine.disk("sdd", ro=1)
    machine.disk("sde", size=0)
    machine.disk("sdf", bus="usb1")
    refused(machine.found("plain", shell, **kept), "There is no fixed disk", "sdf: ", "can be pulled out")
    machine.disk("sdg")
    assert machine.found("plain", shell, **kept) == {"system_disks": ["sdg"]}
    machine.disk("cciss/c0d0")
    assert machine.found("plain", shell, **kept) == {"system_disks": ["cciss/c0d0"]}


@every_shell
@pytest.mark.parametrize("by", ["sysfs", "udev"])
def test_each_hint_finds_the_disk_whatever_name_it_has_today(shell: tuple[str, ...], by: str, machine: Machine) -> None:
    machine.disk("sda", 4000 * GB, serial="WD-1", wwn="5000c500aaaaaaaa", model="ST4000NM 0035", rotational=1, by=by)
    machine.disk("sdb", 480 * GB, serial="S3Z9NB0K1", wwn="5002538e00000001", model="SAMSUNG MZ7LH480", by=by)
    machine.disk("nvme0n1", 960 * GB, serial="PHYF9", wwn="0025385b", model="INTEL SSDPE2KX010T8", by=by,
                 path="disk/by-path/pci-0000:3b:00.0-nvme-1")  # fmt: skip
    wanted = [
        ({"serial": "S3Z9NB0K1"}, "sdb"),
        ({"serial": "s3z9nb0k1"}, "sdb"),
        ({"wwn": "0x5000C500AAAAAAAA"}, "sda"),
        ({"wwn": "naa.5002538e00000001"}, "sdb"),
        ({"model": "INTEL*"}, "nvme0n1"),
        ({"model": "samsung mz7lh480"}, "sdb"),
        ({"model": "SAMSUNG_MZ7??480"}, "sdb"),
        ({"size": "480G"}, "sdb"),
        ({"size": "447Gi"}, "sdb"),
        ({"size": ">=3.5T"}, "sda"),
        ({"size": "<=500G"}, "sdb"),
        ({"size": "900G-1T"}, "nvme0n1"),
        ({"size": "smallest"}, "sdb"),
        ({"size": "largest"}, "sda"),
        ({"size": "largest", "rotational": False}, "nvme0n1"),
        ({"rotational": True}, "sda"),
        ("disk/by-path/pci-0000:3b:00.0-nvme-1", "nvme0n1"),
        ("/dev/sda", "sda"),
    ]
    assert machine.chosen([hint for hint, _ in wanted], shell) == [disk for _, disk in wanted]


@every_shell
def test_a_serial_number_from_the_disks_own_page(shell: tuple[str, ...], machine: Machine) -> None:
    machine.disk("sda", serial="      Z1F0AAAA", by="page")
    machine.disk("sdb", serial="      Z1F0BBBB", by="page")
    assert machine.found({"system": {"serial": "Z1F0BBBB"}}, shell) == {"system_disks": ["sdb"]}


@every_shell
def test_an_ambiguous_hint_stops_the_machine_with_a_listing(shell: tuple[str, ...], machine: Machine) -> None:
    machine.disk("sda", model="INTEL SSD", serial="A1", path="disk/by-path/pci-1")
    machine.disk("sdb", model="INTEL SSD", serial="A2", wwn="5001")
    answer = machine.found({"system": {"model": "INTEL*"}}, shell)
    refused(answer, "layout.system.0 must fit 1, but 2 fit (model intel*): sda sdb.")
    refused(answer, "model intel_ssd, serial a1", "path disk/by-path/pci-1", "serial a2, wwn 5001, path none")
    refused(machine.found({"system": {"size": "largest"}}, shell), "but 2 fit")
    refused(machine.found({"system": {"serial": "A3"}}, shell), "but 0 fit (serial a3): none.")


def test_a_count_says_that_several_are_meant(machine: Machine) -> None:
    for name in ("sda", "sdb", "sdc", "sdd"):
        machine.disk(name, 480 * GB, serial=name)
    machine.disk("sde", 4000 * GB, rotational=1)
    said = {"system": [{"size": "480G", "count": 4}], "raid": 10, "volumes": {"/": "rest"}}
    assert machine.found(said) == {"system_disks": ["sda", "sdb", "sdc", "sdd"]}
    refused(machine.found({**said, "system": [{"size": "480G", "count": 2}], "raid": 1}), "must fit 2, but 4 fit")


@every_shell
def test_what_is_to_be_kept_is_never_taken_by_whatever_name(shell: tuple[str, ...], machine: Machine) -> None:
    machine.disk("sda", serial="A1", wwn="5001", path="disk/by-id/one")
    machine.disk("sdb", serial="B1", wwn="5002")
    for hint in ({"serial": "A1"}, {"wwn": "5001"}, "sda"):
        refused(machine.found({"system": hint}, shell, data=("disk/by-id/one",)), "sda would, but is one to keep.")
    refused(machine.found("plain", shell, system="sda", keep=("disk/by-id/one",)), "disks.system must fit 1")
    assert machine.found({"system": {"rotational": False}, "raw": {"serial": "A1"}}, shell) == {"system_disks": ["sdb"]}


@every_shell
def test_a_second_path_to_a_kept_disk_is_that_disk(shell: tuple[str, ...], machine: Machine) -> None:
    machine.disk("sda", wwn="600a0b80", serial="X", path="disk/by-path/fc-1")
    machine.disk("sdb", wwn="600a0b80", serial="X", path="disk/by-path/fc-2")
    refused(machine.found("plain", shell, keep=("disk/by-path/fc-1",)), "There is no fixed disk")
    refused(machine.found({"system": {"serial": "X"}}, shell), "but 2 fit", "wwn 600a0b80")
    said = {"system": ["disk/by-path/fc-1", "disk/by-path/fc-2"], "raid": 1}
    refused(machine.found(said, shell), "sdb would, but is used already.")
    refused(machine.found({"system": [{"serial": "X"}, "sdb"], "raid": 1}, shell), "but 2 fit")
    twins = {"system": [{"model": "*", "rotational": False, "count": 2}], "raid": 1}
    for name in ("sda", "sdb"):
        (machine.root / "devices/pci0" / name / "device/model").write_text("LUN\n")
    refused(machine.found(twins, shell), "sdb is the same disk as another one that is to be used, by a second path.")


@every_shell
def test_a_kept_partition_keeps_its_disk(shell: tuple[str, ...], machine: Machine) -> None:
    machine.disk("sda", partitions=2)
    (machine.root / "dev/disk/by-id/part").symlink_to(machine.root / "dev/sda2")
    machine.disk("sdb")
    assert machine.found("plain", shell, keep=("disk/by-id/part",)) == {"system_disks": ["sdb"]}


def test_what_could_be_pulled_out_is_taken_only_by_its_own_name(machine: Machine) -> None:
    machine.disk("sda", serial="SATADOM", removable=1, size=64 * GB)
    machine.disk("sdb", serial="STICK", bus="usb2", size=32 * GB)
    refused(machine.found({"system": {"size": "smallest"}}), "but 0 fit")
    assert machine.found({"system": {"serial": "SATADOM"}}) == {"system_disks": ["sda"]}
    refused(machine.found({"system": {"serial": "NONE"}}), "sdb: 30517 MiB", "can be pulled out")


@pytest.mark.parametrize(("more", "why"), [({"ro": 1}, "read-only"), ({"size": 0}, "empty drive")])
def test_what_cannot_be_written_to_is_no_disk_at_all(more: dict[str, int], why: str, machine: Machine) -> None:
    machine.disk("sda", serial="A1", path="disk/by-path/one", **more)
    for hint in ({"serial": "A1"}, "disk/by-path/one", "sda"):
        refused(machine.found({"system": hint}), "but 0 fit")


def test_a_disk_that_is_too_small_for_the_layout_stops_the_machine(machine: Machine) -> None:
    machine.disk("sda", 30 * GB)
    said = {"system": "sda", "volumes": {"/": "20G", "/var": "rest"}}
    assert machine.found(said) == {"system_disks": ["sda"]}
    refused(
        machine.found({**said, "volumes": {"/": "40G", "/var": "rest"}}), "sda is too small: the layout needs 45 GB."
    )


@every_shell
def test_spare_disks_are_empty_or_hold_what_they_are_to_hold(shell: tuple[str, ...], machine: Machine) -> None:
    machine.disk("sda", path="disk/by-path/1")
    machine.disk("sdb", serial="B")
    said = {"system": "disk/by-path/1", "groups": {"cinder-volumes": {"disks": [{"serial": "B"}]}}}
    assert machine.found(said, shell) == {"system_disks": ["sda"], "group_1": ["sdb"]}
    (machine.root / "udev/b8:2").write_text("E:ID_FS_TYPE=LVM2_member\n")
    assert machine.found(said, shell) == {"system_disks": ["sda"], "group_1": ["sdb"]}
    (machine.root / "udev/b8:2").write_text("E:ID_FS_TYPE=ceph_bluestore\n")
    refused(machine.found(said, shell), "layout.groups.cinder-volumes: sdb holds ceph_bluestore already", "wipe: true")
    (machine.root / "udev/b8:2").write_text("")
    (machine.root / "dev/sdb").write_bytes(b"\0" * 5000 + b"something")
    refused(machine.found(said, shell), "sdb holds data already")
    (machine.root / "dev/sdb").write_bytes(b"\0" * 5000)
    (machine.root / "devices/pci0/sdb/sdb1").mkdir()
    refused(machine.found(said, shell), "sdb holds partitions already")
    said["groups"]["cinder-volumes"]["wipe"] = True  # type: ignore[index]
    assert machine.found(said, shell) == {"system_disks": ["sda"], "group_1": ["sdb"]}


@every_shell
def test_a_raw_disk_with_its_file_system_keeps_it(shell: tuple[str, ...], machine: Machine) -> None:
    machine.disk("sda", path="disk/by-path/1")
    for name in ("sdb", "sdc"):
        machine.disk(name, 4000 * GB, rotational=1, udev={"ID_FS_TYPE": "xfs"})
    said = {
        "system": "disk/by-path/1",
        "raw": [{"size": ">=3.5T", "count": 2, "format": "xfs", "mount": "/srv/node/d*"}],
    }
    assert machine.found(said, shell) == {"system_disks": ["sda"], "raw_1": ["sdb", "sdc"]}
    (machine.root / "udev/b8:3").write_text("E:ID_FS_TYPE=ext4\n")
    refused(machine.found(said, shell), "layout.raw.0: sdc holds ext4 already")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("name", ["plain", "spare"])
def test_the_shells_and_shellcheck_have_nothing_to_say(name: str) -> None:
    text = script(read(LAYOUTS[name]), data=("disk/by-id/one",))
    for shell in SHELLS:
        if shutil.which(shell[0]):
            shells.check(shell, text)
    for dialect in ("bash", "dash"):
        shells.lint(dialect, text)


HINTS = st.fixed_dictionaries(
    {},
    optional={
        "serial": st.sampled_from(["S0", "S1", "S2", "S3"]),
        "model": st.sampled_from(["INTEL*", "*", "ST4*", "?ntel_ssd"]),
        "size": st.sampled_from(["480G", ">=1T", "<=1T", "smallest", "largest", "400G-5T"]),
        "rotational": st.booleans(),
        "path": st.sampled_from([f"disk/by-path/p{number}" for number in range(4)]),
    },
).filter(bool)
SPARE = st.fixed_dictionaries({"disks": st.lists(HINTS, min_size=1, max_size=2)}, optional={"wipe": st.booleans()})


DISKS = {
    "sda": (480 * GB, "S0", "INTEL SSD", 0, "disk/by-path/p0"),
    "sdb": (480 * GB, "S1", "INTEL SSD", 0, "disk/by-path/p1"),
    "sdc": (4000 * GB, "S2", "ST4000", 1, "disk/by-path/p2"),
    "nvme0n1": (960 * GB, "S3", "INTEL P4510", 0, "disk/by-path/p3"),
}


def means(hint: Hint, size: int, serial: str, model: str, rotational: int, path: str) -> bool:
    """What a hint means, said once more and in another language."""
    return (
        hint.path in ("", path)
        and hint.serial in ("", serial.lower())
        and fnmatchcase(model.lower().replace(" ", "_"), hint.model or "*")
        and (hint.least or 0) <= size <= (hint.most or size)
        and hint.rotational in (None, bool(rotational))
        and {"": True, "smallest": size == 480 * GB, "largest": size == 4000 * GB}[hint.extreme]
    )


@settings(max_examples=15, deadline=None)
@given(
    system=HINTS,
    groups=st.dictionaries(st.sampled_from(["cinder-volumes", "spare"]), SPARE, max_size=2),
    raw=st.lists(HINTS, max_size=2),
    data=st.lists(st.sampled_from([f"disk/by-path/p{number}" for number in range(4)]), max_size=2, unique=True),
)
def test_nothing_that_is_kept_is_ever_handed_to_an_installer(
    system: object, groups: object, raw: list[dict[str, object]], data: list[str]
) -> None:
    said = {"system": [system], "groups": groups, "raw": raw}
    try:
        layout = read(said)
    except Invalid:
        return
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        for name, (size, serial, model, rotational, path) in DISKS.items():
            machine.disk(name, size, serial=serial, model=model, rotational=rotational, path=path)
        answer = machine.found(said, data=tuple(data))
        kept = {("sda", "sdb", "sdc", "nvme0n1")[int(path[-1])] for path in data}
        kept |= {name for name, facts in DISKS.items() for hint in layout.untouched if means(hint, *facts)}
        if isinstance(answer, dict):
            used = [disk for disks in answer.values() for disk in disks]
            assert not kept & set(used)
            assert len(used) == len(set(used))
