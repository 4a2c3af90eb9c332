"""What %pre writes for the kickstart to include is checked like every other line of it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pxeapp.answers import checks, kickstart
from pxeapp.answers.checks import lines, written
from pxeapp.answers.storage import read
from tests.answers.samples import KICKSTARTS, TEMPLATES, spec
from tests.answers.site.sample import everything
from tests.answers.storage.samples import LAYOUTS

SPEC = spec("rocky", "9", storage=read(LAYOUTS["lvm-volumes"]), system_disk=None, data_disks=(), keep_disks=())
TEXT = kickstart.render(SPEC, TEMPLATES)
RAID = kickstart.render(
    spec("rocky", "9", storage=read(LAYOUTS["raid1"]), system_disk=None, data_disks=(), keep_disks=()), TEMPLATES
)
# A kickstart of a site's own, whose %pre writes what it includes.
OWN = """\
cmdline
reboot
url --url=http://10.0.0.1/os
lang en_US.UTF-8
keyboard us
timezone --utc Europe/Rome
rootpw --lock
%include /tmp/disk.ks
bootloader --leavebootorder
%packages
@^minimal-environment
%end
%pre
first=$(lsblk -dno NAME | head -n 1)
cat >/tmp/disk.ks <<EOF
ignoredisk --only-use=sda
clearpart --all --initlabel
part / --fstype=xfs --size=4096 --grow --ondisk=sda
EOF
%end
"""


def said(text: str, *, advice: bool = False) -> list[str]:
    return [f"{each.line}: {each.problem}" for each in checks.check("kickstart", text, SPEC) if each.advice == advice]


@pytest.mark.parametrize(
    ("text", "old", "new", "problem"),
    [
        (TEXT, "volgroup system", "volgrup system", "Unknown command: volgrup (RHEL9)."),
        (TEXT, "--fstype=lvmpv", "--fstipe=lvmpv", "Unexpected arguments to partition command: ['--fstipe=lvmpv'] (R"),
        (TEXT, "--vgname=system --name=swap", "--vgname=sistem --name=swap", "logvol swap uses sistem, which is not"),
        (TEXT, "--name=var_log", "--name=var", "system has two volumes named var."),
        (TEXT, "logvol /var/log", "logvol /var", "/var is mounted twice, first in line"),
        (TEXT, "--ondisk=$1", "--ondisk=sdb", "part --ondisk names sdb, which ignoredisk --only-use leaves out."),
        (TEXT, "--size=40960", "--size=9999999999", "/var has a size that is not possible: 9999999999 MiB."),
        (RAID, "raid.root1 raid.root2", "raid.root1 raid.root3", "raid / uses raid.root3, which is not made"),
        (RAID, "raid.boot_efi1 raid.boot_efi2", "raid.boot_efi1", "RAID1 of 1 members is not possible."),  # UEFI alone
        (RAID, "--size=1 --ondisk=$2", "--ondisk=$2", "part biosboot has no size."),  # BIOS alone
    ],
)
def test_a_mistake_in_the_plan_is_found_in_its_own_line(text: str, old: str, new: str, problem: str) -> None:
    line = text[: text.index(old)].count("\n") + 1
    found = said(text.replace(old, new, 1))
    assert any(each.startswith(f"{line}: {problem}") for each in found), found


def test_a_plan_without_a_root_file_system_is_refused() -> None:
    assert any("No root file system is made" in each for each in said(re.sub(r"(?m)^logvol / .*\n", "", TEXT)))


def test_what_is_missing_is_missed_though_the_plan_is_included() -> None:
    text = re.sub(r"(?m)^(lang|keyboard|rootpw|timezone|url|bootloader|reboot)\b.*\n", "", TEXT)
    text = re.sub(r"(?ms)^%packages.*?^%end\n", "", text)
    assert [each.split(":")[1].strip() for each in said(text)] == [
        "There is no lang", "There is no keyboard", "There is no timezone", "There is no rootpw",
        "There is no bootloader", "There is no reboot", "Nothing says where to install from.",
        "There is no %packages section",
    ]  # fmt: skip


@pytest.mark.parametrize(("family", "version"), KICKSTARTS)
def test_every_plan_of_ours_is_read_whatever_else_pre_does(family: str, version: str) -> None:
    for layout in LAYOUTS.values():
        storage = read(layout)
        found = replace(everything(family, version), storage=storage, system_disk=None, data_disks=(), keep_disks=())
        text = kickstart.render(found, TEMPLATES)
        assert "%include /tmp/pxeapp-disk.ks" in text
        read_by = written.readings(text)
        assert len(read_by) == (2 if storage.raid else 1)
        for reading in read_by:
            assert lines.split(reading.text, reading.partly).whole
            assert "$" not in "".join(" ".join(each.words) for each in lines.split(reading.text).commands)


def test_the_disks_have_the_kernels_names_and_each_firmware_its_own_lines() -> None:
    bios, uefi = ([each.words for each in lines.split(reading.text).commands] for reading in written.readings(RAID))
    assert ("ignoredisk", "--only-use=sda,sdb") in bios
    assert [words[-1] for words in bios if words[:2] == ("part", "biosboot")] == ["--ondisk=sda", "--ondisk=sdb"]
    assert not any("biosboot" in words for words in uefi)
    assert any(words[:2] == ("raid", "/boot/efi") for words in uefi)
    assert not any(words[:2] == ("raid", "/boot/efi") for words in bios)
    assert len(written.readings(TEXT)) == 1


def test_every_line_keeps_its_number() -> None:
    (reading,) = written.readings(TEXT)
    before, after = TEXT.split("\n"), reading.text.split("\n")
    assert len(before) == len(after)
    for number, line in enumerate(after):
        if line and before[number] != line:
            assert line == "%end" or before[number].replace("$only", "sda").replace("$1", "sda") == line


def test_a_sites_own_plan_is_checked_too() -> None:
    assert said(OWN) == []
    assert said(OWN.replace("part / ", "prt / ")) == [
        "0: No root file system is made, so Anaconda would stop and ask.",
        "18: Unknown command: prt (RHEL9).",
    ]


def test_what_only_the_machine_knows_is_neither_complained_of_nor_taken_for_missing() -> None:
    text = (
        OWN.replace("sda", "$first").replace("lang en_US.UTF-8\n", "").replace("EOF\nig", "EOF\nlang en_US.UTF-8\nig")
    )
    assert said(text) == said(text, advice=True) == []


def test_what_is_written_by_other_commands_may_say_what_is_missing_and_that_is_advice() -> None:
    text = OWN.replace("lang en_US.UTF-8\n", "").replace("cat >/tmp/disk.ks <<EOF", "python3 >/tmp/disk.ks <<EOF")
    assert said(text) == []
    (advice,) = said(text, advice=True)
    assert advice.startswith("7: There is no lang: the language is asked for. What is included here may say it:")


@pytest.mark.parametrize("strange", ['    echo "part /srv --size=1"', "    rm -f $only", "    if [ -e /x ]; then"])
def test_a_function_that_does_anything_else_is_not_guessed_at(strange: str) -> None:
    text = TEXT.replace("divide() { #", f"divide() {{ #\n{strange}\n#", 1)
    (reading,) = written.readings(text)
    assert reading.text == text
