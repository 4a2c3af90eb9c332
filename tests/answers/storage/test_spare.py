"""Spare volume groups and file systems, made on real block devices by the real tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answers.samples import TEMPLATES

TOOLS = ("losetup", "pvcreate", "vgcreate", "wipefs", "blkid", "lsblk", "mkfs.ext4", "mkfs.xfs")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
MIB = 1 << 20


def program(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env={"PATH": PATH}, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[list[str]]:
    """Three empty loop devices, by their names."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}")
    nodes: list[str] = []
    try:
        for number in range(3):
            file = tmp_path / f"disk{number}"
            with file.open("wb") as opened:
                opened.truncate(320 * MIB)
            node = program("losetup", "-f", "--show", str(file))
            if not node:
                pytest.skip("no loop device is to be had here")
            nodes.append(node)
        if not program("pvcreate", "-y", nodes[0]):
            pytest.skip("LVM cannot use loop devices here")
        program("pvremove", "-y", nodes[0])
        yield [node.removeprefix("/dev/") for node in nodes]
    finally:
        for node in nodes:
            group = group_of(node)
            if group:
                program("vgremove", "-ff", "-y", group)
            program("losetup", "-d", node)


def group_of(node: str) -> str:
    return program("pvs", "--noheadings", "-o", "vg_name", node)


def spare(call: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """One call, with its fstab and its mount points in a folder."""
    text = TEMPLATES.render("boot/_spare_disks.sh", spare=(call,))
    text = text.replace(">>/etc/fstab", f">>{tmp_path}/fstab").replace('mkdir -p "$at"', f'mkdir -p "{tmp_path}$at"')
    return subprocess.run(
        ["bash"], input=text, capture_output=True, text=True, timeout=120, env={"PATH": PATH}, check=False
    )


def test_a_group_is_made_kept_with_its_volumes_enlarged_and_made_anew_only_by_order(
    disks: list[str], tmp_path: Path
) -> None:
    one, two, three = disks
    name = f"pxeapp-test-{os.getpid()}"
    assert spare(f"spare_group {name} keep {one}", tmp_path).returncode == 0
    identity = program("vgs", "--noheadings", "-o", "vg_uuid", name)
    assert identity
    again = spare(f"spare_group {name} keep {one} {two}", tmp_path)
    assert again.returncode == 0, again.stderr
    assert {group_of(f"/dev/{disk}") for disk in (one, two)} == {name}
    assert program("vgs", "--noheadings", "-o", "vg_uuid", name) == identity
    other = spare(f"spare_group other keep {two}", tmp_path)
    assert other.returncode == 1
    assert f"/dev/{two} is in the volume group {name}." in other.stderr
    # The group is on a disk that nobody named: what is there is not ours to remove.
    partly = spare(f"spare_group {name} wipe {two} {three}", tmp_path)
    assert partly.returncode == 1
    assert f"is on /dev/{one} too, which is not to be wiped." in partly.stderr
    assert program("vgs", "--noheadings", "-o", "vg_uuid", name) == identity
    anew = spare(f"spare_group {name} wipe {one} {two}", tmp_path)
    assert anew.returncode == 0, anew.stderr
    assert program("vgs", "--noheadings", "-o", "vg_uuid", name) not in ("", identity)


def test_a_disk_with_something_on_it_is_no_members_unless_it_is_wiped(disks: list[str], tmp_path: Path) -> None:
    (one, *_), name = disks, f"pxeapp-full-{os.getpid()}"
    table = "label: gpt\n,100M\n"
    subprocess.run(["sfdisk", "-q", f"/dev/{one}"], input=table, text=True, env={"PATH": PATH}, check=True, timeout=60,
                   capture_output=True)  # fmt: skip
    refused = spare(f"spare_group {name} keep {one}", tmp_path)
    assert (refused.returncode, refused.stderr) == (1, f"/dev/{one} is not empty.\n")
    assert "gpt" in program("blkid", "-p", f"/dev/{one}")
    done = spare(f"spare_group {name} wipe {one}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert group_of(f"/dev/{one}") == name


def test_a_file_system_is_made_once_kept_and_mounted_by_its_uuid(disks: list[str], tmp_path: Path) -> None:
    one, two, three = disks
    for kind, some in (("xfs", (one, two)), ("ext4", (three,))):
        call = f"spare_filesystem {kind} keep '/srv/{kind}/d*' {' '.join(some)}"
        first = spare(call, tmp_path)
        assert first.returncode == 0, first.stderr
        uuids = [program("blkid", "-p", "-o", "value", "-s", "UUID", f"/dev/{disk}") for disk in some]
        assert (tmp_path / "fstab").read_text().splitlines() == [
            f"UUID={uuid} /srv/{kind}/d{number} {kind} noatime,nofail 0 2" for number, uuid in enumerate(uuids, 1)
        ]
        assert all((tmp_path / f"srv/{kind}/d{number}").is_dir() for number, _ in enumerate(some, 1))
        (tmp_path / "fstab").unlink()
        assert spare(call, tmp_path).returncode == 0
        assert re.findall(r"UUID=(\S+)", (tmp_path / "fstab").read_text()) == uuids
        (tmp_path / "fstab").unlink()
    foreign = spare(f"spare_filesystem xfs keep '' {three}", tmp_path)
    assert foreign.returncode == 1  # mkfs.xfs itself refuses to write over the other file system
    assert program("blkid", "-p", "-o", "value", "-s", "TYPE", f"/dev/{three}") == "ext4"
    anew = spare(f"spare_filesystem xfs wipe '' {three}", tmp_path)
    assert anew.returncode == 0, anew.stderr
    assert program("blkid", "-p", "-o", "value", "-s", "TYPE", f"/dev/{three}") == "xfs"
