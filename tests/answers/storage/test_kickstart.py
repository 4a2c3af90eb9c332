"""What %pre writes for Anaconda: run by bash, read by pykickstart in every dialect, and added up."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pykickstart.errors import KickstartParseWarning
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from pxeapp.answers import kickstart
from pxeapp.answers.storage import read
from tests.answers import shells
from tests.answers.samples import TEMPLATES, spec
from tests.answers.storage.samples import LAYOUTS
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
WHOLE = [name for name, said in LAYOUTS.items() if not read(said).simple]
FIRMWARE = ("bios", "uefi")
SYNTAXES = {"RHEL7": ("centos", "7"), "RHEL8": ("rocky", "8"), "RHEL9": ("alma", "9"), "RHEL10": ("centos", "10")}


@cache
def rendered(name: str, family: str = "rocky", version: str = "9") -> str:
    found = spec(family, version, storage=read(LAYOUTS[name]), system_disk=None, data_disks=(), keep_disks=())
    return kickstart.render(found, TEMPLATES)


@cache
def included(name: str, firmware: str) -> str:
    """The file that %pre writes on a machine with this firmware; its system disks are sda and so on."""
    found = re.search(r"(?ms)^divide\(\) \{.*?^\}$", rendered(name))
    assert found
    disks = [f"sd{letter}" for letter in "abcdefgh"[: read(LAYOUTS[name]).disks]]
    efi = "/" if firmware == "uefi" else "/nothing-here"
    text = found[0].replace("/sys/firmware/efi", efi) + f"\ndivide {' '.join(disks)}\n"
    done = subprocess.run(["bash", "-eu"], input=text, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def parsed(name: str, firmware: str, syntax: str) -> Any:
    parser = KickstartParser(makeVersion(syntax))
    text = rendered(name, *SYNTAXES[syntax]).replace("%include /tmp/pxeapp-disk.ks\n", included(name, firmware))
    assert "%include" not in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Each disk of an array is booted from, so each has a BIOS boot partition; pykickstart takes that for a slip.
        warnings.filterwarnings("ignore", message=".*biosboot", category=KickstartParseWarning)
        parser.readKickstartFromString(text)
    return parser.handler


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_whole_plan(name: str) -> None:
    parts = (
        [f"# {firmware}\n{included(name, firmware)}" for firmware in FIRMWARE] if name not in ("plain", "lvm") else []
    )
    golden.check(f"{name}.ks", "".join(parts) or rendered(name).split("%packages")[0], GOLDEN)


@pytest.mark.parametrize(
    ("name", "syntax"),
    # Everything for the oldest and the newest; those between differ from them in nothing that is about disks.
    [(name, syntax) for name in WHOLE for syntax in SYNTAXES if syntax in ("RHEL7", "RHEL10") or name == "raid10-lvm"],
)
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_every_release_reads_it_and_it_adds_up(name: str, firmware: str, syntax: str) -> None:
    layout = read(LAYOUTS[name])
    handler = parsed(name, firmware, syntax)
    disks = [f"sd{letter}" for letter in "abcdefgh"[: layout.disks]]
    assert handler.ignoredisk.onlyuse == disks
    assert handler.clearpart.drives == disks
    assert handler.zerombr.zerombr
    parts = {part.mountpoint: part for part in handler.partition.partitions}
    assert {part.disk for part in handler.partition.partitions} <= set(disks)
    assert handler.reqpart.reqpart == (not layout.raid)  # which adds what the firmware needs
    members = [member for raid in handler.raid.raidList for member in raid.members]
    assert sorted(members) == sorted(each for each in parts if each.startswith("raid."))
    for raid in handler.raid.raidList:
        assert len(raid.members) == layout.disks
        assert {parts[member].disk for member in raid.members} == set(disks)
        assert raid.level == ("RAID1" if raid.mountpoint.startswith("/boot") else f"RAID{layout.raid}")
    physical = {*parts, *(raid.mountpoint for raid in handler.raid.raidList)}
    if layout.lvm:
        (group,) = handler.volgroup.vgList
        assert (group.vgname, group.physvols) == ("system", ["pv.system"])
        assert "pv.system" in physical
    mounts = {volume.mountpoint for volume in handler.logvol.lvList} | physical
    assert {volume.mount for volume in layout.volumes} | {"/boot"} <= mounts
    if layout.raid:
        biosboot = [part.disk for part in handler.partition.partitions if part.mountpoint == "biosboot"]
        assert biosboot == (disks if firmware == "bios" else [])
        assert ("/boot/efi" in physical) == (firmware == "uefi")
    assert handler.bootloader.leavebootorder


@pytest.mark.parametrize(("family", "version"), [("centos", "7"), ("alma", "10")])
def test_spare_disks_are_prepared_before_the_role_is(family: str, version: str) -> None:
    text = rendered("spare", family, version)
    sections = re.findall(r"(?ms)^(%(?:pre|post)\b[^\n]*)\n(.*?)^%end$", text)
    spare = next(body for head, body in sections if "spare" in head)
    assert "--erroronfail" in next(head for head, _ in sections if "spare" in head)
    target = "/mnt/sysimage" if version == "7" else "/mnt/sysroot"
    assert f"chroot {target} /bin/bash /root/pxeapp-spare\n" in spare
    inner = re.search(r"(?s)<<'END_OF_SPARE'\n(.*?)\nEND_OF_SPARE", spare)
    assert inner
    assert inner[1].splitlines()[-6:] == [
        "    spare_group cinder-volumes keep $group_1 || return 1",
        "    spare_group nova_fast wipe $group_2 || return 1",
        "    spare_filesystem xfs keep '/srv/node/d*' $raw_2 || return 1",
        "    spare_filesystem ext4 wipe '' $raw_3 || return 1",
        "}",
        "spare_disks || exit 1",
    ]
    assert [name for name in ("system_disks", "group_1", "group_2", "raw_2", "raw_3") if f"echo \"{name}='$" in text]
    for script in (sections[0][1], spare, inner[1]):
        shells.check(("bash",), script)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    for name in ("raid10-lvm", "spare"):
        for _head, body in re.findall(r"(?ms)^(%(?:pre|post)\b[^\n]*)\n(.*?)^%end$", rendered(name))[:2]:
            shells.lint("bash", body)
            for inner in re.findall(r"(?s)<<'END_OF_SPARE'\n(.*?)\nEND_OF_SPARE", body):
                shells.lint("bash", inner)
