"""The scripts that installers fetch and run: read by the shell that is really there, with the commands that are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pxeapp.answers.checks import shells
from pxeapp.answers.checks.known import Known
from pxeapp.answers.spec import AnswerSpec
from pxeapp.faults import Fault

KIND = "script"
BASH = re.compile(r"#! ?/(?:usr/)?bin/(?:env )?bash\b")
# What an operator would write and the installer's shell has not, with what it has.
ABSENT = {
    "curl": "Write: wget -qO- URL",
    "python": "Use sh; or in-target python3, where the package is installed.",
    "python3": "Use sh; or in-target python3, where the package is installed.",
    "perl": "Use sed or awk; or in-target perl.",
    "bash": "Write sh; or in-target bash.",
    "systemctl": "Write: in-target systemctl …",
    "apt-get": "Write: apt-install PACKAGE, or in-target apt-get …",
    "apt": "Write: apt-install PACKAGE",
    "dpkg": "Write: in-target dpkg …",
    "useradd": "Write: in-target useradd …",
    "usermod": "Write: in-target usermod …",
    "chpasswd": "Write: in-target chpasswd",
    "update-grub": "Write: in-target update-grub",
    "update-initramfs": "Write: in-target update-initramfs …",
    "service": "Write: in-target service …",
    "sudo": "Take it out: the installer is root.",
    "jq": "Use sed.",
    "lsblk": "Write: list-devices disk",
    "parted": "Use parted_devices, or leave it to partman.",
    "wipefs": "Write: dd if=/dev/zero of=DISK bs=1M count=10",
    "sgdisk": "Leave it to partman.",
    "efibootmgr": "Write: in-target efibootmgr …",
    "scp": "Write: wget -qO FILE URL",
    "rsync": "Write: wget -qO FILE URL",
    "tac": "Use sed -n '1!G;h;$p'.",
    "paste": "Use tr.",
    "xargs": "Use a loop: while read -r each; do …; done",
    "timeout": "Give the command's own time limit: wget -T 10 -t 1",
}


def check(text: str, spec: AnswerSpec, known: Known) -> Iterator[Fault]:
    """Every fault of the script that runs inside the installer; only debian-installer lacks what every system has."""
    found = shells.Script(KIND, "bash" if BASH.match(text) else "sh", text, 1, "The installer's script")
    yield from shells.check(found)
    if spec.release.installer == "preseed":
        yield from shells.missing_words(found, known.commands, ABSENT)
