"""Kickstarts: what breaks an installation is found by its line; what does not is left alone."""

from __future__ import annotations

import threading
import warnings

import pytest

from pxeapp.answers import checks, kickstart
from pxeapp.answers.checks import anaconda
from tests.answers.samples import SHA512, TEMPLATES, full, spec

SPEC = spec("rocky", "9", "storage")

# A kickstart of its own, small enough to say what stands in each line.
SMALL = f"""\
cmdline
reboot
url --url=http://10.0.0.1/os
network --device=52:54:00:00:00:01 --bootproto=static --ip=10.0.0.7 --netmask=255.255.255.0 --gateway=10.0.0.1
network --device=eno2 --bootproto=dhcp --nodefroute
network --device=eno2 --bootproto=static --ip=10.1.0.7 --netmask=255.255.0.0 --vlanid=7 --nodefroute
lang en_US.UTF-8
keyboard us
timezone --utc Europe/Rome
rootpw --iscrypted {SHA512}
ignoredisk --only-use=sda,sdb
zerombr
clearpart --all --initlabel --drives=sda,sdb
reqpart --add-boot
part raid.1 --size=6000 --ondisk=sda
part raid.2 --size=6000 --ondisk=sdb
raid pv.1 --device=pv1 --level=RAID1 raid.1 raid.2
volgroup system pv.1
logvol / --vgname=system --name=root --fstype=xfs --size=4096
bootloader --boot-drive=sda --leavebootorder
%packages
@^minimal-environment
chrony
%end
%post
echo finished
%end
"""
BREAKS = [
    # (what is written, instead of what, words of the fault)
    ("", "lang en_US.UTF-8\n", "There is no lang"),
    ("", "keyboard us\n", "There is no keyboard"),
    ("", "timezone --utc Europe/Rome\n", "There is no timezone"),
    ("", f"rootpw --iscrypted {SHA512}\n", "There is no rootpw"),
    ("", "reboot\n", "There is no reboot"),
    ("", "url --url=http://10.0.0.1/os\n", "where to install from"),
    ("", "%packages\n@^minimal-environment\nchrony\n%end\n", "There is no %packages"),
    ("", "chrony\n%end\n", "does not end with %end"),
    ("", "echo finished\n%end\n", "does not end with %end"),
    ("%end\n%end\n", "echo finished\n%end\n", "%end"),
    ("instal\n", "cmdline\n", "Unknown command"),
    ("install\n", "cmdline\n", "has been removed"),
    ("10.0.0.777", "10.0.0.7", "no IPv4 address"),
    ("255.255.0.255", "255.255.255.0", "no netmask"),
    ("--gateway=10.9.0.1", "--gateway=10.0.0.1", "is not in 10.0.0.0/24"),
    (
        "--netmask=255.255.0.0 --gateway=10.1.0.1 --vlanid=7",
        "--netmask=255.255.0.0 --vlanid=7 --nodefroute",
        "several default",
    ),
    (" --bootproto=static --netmask=", " --bootproto=static --ip=10.0.0.7 --netmask=", "none is given"),
    (
        "--device=eno2 --bootproto=static --ip=10.1.0.7 --netmask=255.255.0.0",
        "--device=eno2 --bootproto=static --ip=10.1.0.7 --netmask=255.255.0.0 --vlanid=7",
        "has a line already",
    ),
    ("--vlanid=5000", "--vlanid=7", "no VLAN"),
    ("Europe/Room", "Europe/Rome", "no time zone"),
    ("rootpw secret", f"rootpw --iscrypted {SHA512}", "in plain words"),
    ("--iscrypted abc", f"--iscrypted {SHA512}", "no crypt(3) hash"),
    ("clearpart --all --initlabel\n", "clearpart --all --initlabel --drives=sda,sdb\n", None),
    ("--ondisk=sdc", "--ondisk=sdb", "leaves out"),
    ("--boot-drive=sdc", "--boot-drive=sda", "leaves out"),
    ("--drives=sda,sdz", "--drives=sda,sdb", "leaves out"),
    ("raid.1 raid.3", "raid.1 raid.2", "raid.3, which is not made"),
    ("RAID1 raid.1", "RAID1 raid.1 raid.2", "of 1 members"),
    ("volgroup system pv.2", "volgroup system pv.1", "pv.2, which is not made"),
    ("--vgname=data", "--vgname=system", "data, which is not made"),
    ("logvol /srv", "logvol /", "No root file system"),
    ("--name=root --fstype=xfs\n", "--name=root --fstype=xfs --size=4096\n", "No size given"),
    ("bootloader\nbootloader --boot", "bootloader --boot", "There is a bootloader already"),
    ("if true; then\n", "echo finished\n", "is no bash"),
    ('echo "done\n', "echo finished\n", "is no bash"),
    ("cat <<'EOF'\nx\n", "echo finished\n", "here-document has no end"),
    ("cd $missing/*\n", "echo finished\n", "SC2164"),
    ("chrony\n-chrony", "chrony", "chrony in line"),
    ("a b;c", "chrony", "is no package"),
]


def faults(text: str) -> list[str]:
    return [str(fault) for fault in checks.check("kickstart", text, SPEC) if not fault.advice]


def test_the_small_one_has_no_fault_though_a_vlan_stands_beside_its_device() -> None:
    assert faults(SMALL) == []


@pytest.mark.parametrize(("new", "old", "said"), BREAKS)
def test_each_break_is_found(new: str, old: str, said: str | None) -> None:
    assert old in SMALL
    found = faults(SMALL.replace(old, new, 1))
    if said is None:
        assert found == []  # ignoredisk bounds what is cleared
    else:
        assert any(said in fault for fault in found), found


def test_disks_that_nobody_names_are_not_cleared() -> None:
    text = SMALL.replace("ignoredisk --only-use=sda,sdb\n", "").replace(" --drives=sda,sdb", "")
    assert any("every disk of the machine is wiped" in fault for fault in faults(text))


def test_a_fault_names_line_and_what_to_write() -> None:
    (fault,) = checks.check("kickstart", SMALL.replace("--ondisk=sdb", "--ondisk=sdc"), SPEC)
    assert (fault.line, fault.fix) == (16, "Name one of sda, sdb, or add it to ignoredisk.")


def test_what_a_pre_script_writes_is_read_where_it_is_included() -> None:
    text = kickstart.render(spec("rocky", "9", system_disk=None), TEMPLATES)
    assert "%include /tmp/" in text
    assert faults(text) == []


def test_an_include_that_nobody_knows_is_neither_read_nor_fetched_nor_complained_of() -> None:
    text = SMALL.replace("lang en_US.UTF-8\n", "%include http://192.0.2.1/lang.ks\n%ksappend /etc/shadow\n")
    assert faults(text) == []


def test_a_release_knows_its_own_commands() -> None:
    text = SMALL.replace("timezone --utc Europe/Rome", "timezone Europe/Rome --utc --ntpservers=10.0.0.1")
    assert [each.advice for each in checks.check("kickstart", text, spec("rocky", "9"))] == [True]
    assert any("ntpservers" in fault.problem for fault in checks.check("kickstart", text, spec("rocky", "10")))
    assert checks.check("kickstart", text, spec("rocky", "8")) == []


def test_complaints_stay_with_their_thread_and_pythons_warnings_are_left_alone() -> None:
    before = list(warnings.filters)
    found: dict[int, int] = {}

    def read(number: int) -> None:
        lines = "timezone --utc Etc/UTC --ntpservers=10.0.0.1\n" + "unknown\n" * number
        found[number] = len(anaconda.parse(lines, "RHEL9").complaints)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number + 1 for number in range(6)}
    assert warnings.filters == before


@pytest.mark.parametrize(
    "hostile",
    [
        "%include /dev/zero\n",
        "%ksappend http://192.0.2.1/x\n",
        "network --hostname=" + "a" * 300 + "\n",
        "part / --size=999999999999999999999\n",
        "user --name=\u202eevil --password=x\n",
        "'\n",
        "%pre --interpreter=\n%end\n",
        "\x00\n",
        "%packages\n$(reboot)\n%end\n",
        "rootpw --iscrypted $(id)\n",
        "raid / --level=0 --device=x\n",
        "logvol\nvolgroup\npart\nraid\n",
        "network\n" * 50,
    ],
)
def test_hostile_texts_end_in_faults_and_not_in_errors(hostile: str) -> None:
    for text in (hostile, hostile + SMALL, SMALL + hostile):
        assert all(fault.problem.isprintable() for fault in checks.check("kickstart", text, SPEC))


@pytest.mark.parametrize(("family", "version"), [("centos", "7"), ("rocky", "8"), ("centos", "9"), ("alma", "10")])
def test_breaks_of_what_we_render_are_found_in_each_release(family: str, version: str) -> None:
    found = full(family, version)
    text = kickstart.render(found, TEMPLATES)
    assert checks.check("kickstart", text, found) == []
    for old, new, said in (
        ("%end", "", "%end"),
        ("\nlang ", "\n# ", "There is no lang"),
        ("\nrootpw ", "\n# ", "There is no rootpw"),
        ("\nreboot\n", "\n", "There is no reboot"),
        ("report installed", "if report installed", "is no bash"),
        ("--ip=10.77.0.11", "--ip=10.77.0.311", "no IPv4 address"),
        ("\nbootloader ", "\nbootloader\nbootloader ", "already"),
    ):
        assert old in text
        broken = [str(fault) for fault in checks.check("kickstart", text.replace(old, new, 1), found)]
        assert any(said in fault for fault in broken), (old, broken)
