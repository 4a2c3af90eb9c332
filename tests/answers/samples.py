"""One machine in every release that can be installed, and its answers' specification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pxeapp import systems
from pxeapp.answers import releases
from pxeapp.answers.roles import builtin
from pxeapp.answers.spec import AnswerSpec, Card, ReleaseSpec, Repository
from pxeapp.answers.storage import LVM
from pxeapp.templates import Templates

NODE_URL = "http://10.77.0.1:8081"
ANSWER_TOKEN = "A" * 43
CALLBACK_TOKEN = "C" * 43
MAC = "52:54:00:00:00:01"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6hZ8Yyq0T7v1n5m0c2c0X1 ada@ops"
SYSTEM = "disk/by-path/pci-0000:00:1f.2-ata-1"
DATA = ("disk/by-id/ata-DATA_1", "disk/by-id/ata-DATA_2")
KEEP = ("disk/by-path/pci-0000:03:00.0-nvme-1",)
SHA512 = "$6$rounds=5000$abcdefgh$" + "x" * 86
TEMPLATES = Templates()

RELEASES = list(systems.SYSTEMS)  # each with the installer that is meant when none is named


def _installed_by(wanted: str) -> list[tuple[str, str]]:
    return [(family, version) for family, version, installer in releases.DIALECTS if installer == wanted]


KICKSTARTS = _installed_by("kickstart")
PRESEEDS = _installed_by("preseed")
AUTOINSTALLS = _installed_by("autoinstall")
ROLES = ("base", "compute", "storage")


def release(family: str, version: str, installer: str = "", **more: Any) -> ReleaseSpec:
    """A release as the appliance's own mirror serves it; `installer` where the system has two."""
    name = f"{family}-{version}"
    installer = installer or systems.default_installer(family, version)
    if installer == "autoinstall":
        iso = f"{NODE_URL}/media/{name}/0123456789ab/{name}-live-server-amd64.iso"
        said: dict[str, Any] = {"installer": installer, "install_url": iso, "archive": f"{NODE_URL}/mirror/{family}"}
    elif installer == "kickstart":
        tree = "os/x86_64" if version == "7" else "BaseOS/x86_64/os"
        said = {"installer": "kickstart", "install_url": f"{NODE_URL}/repo/{name}/{tree}"}
    else:
        updates = Repository("updates", f"{NODE_URL}/mirror/{family}", f"{version}-updates", "main")
        said = {
            "installer": "preseed",
            "install_url": f"{NODE_URL}/mirror/{family}",
            "repositories": (updates,),
        }
    return ReleaseSpec(name, family, version, **{**said, **more})


def spec(family: str, version: str, role: str = "base", installer: str = "", **more: Any) -> AnswerSpec:
    """node1 in a role: one card by DHCP, its system disk by path, data and keep disks beside it."""
    packages = "el" if family in releases.EL_FAMILIES else "debian"
    found = AnswerSpec(
        hostname="node1",
        domain="rack.example.org",
        boot=Card(MAC),
        release=release(family, version, installer),
        role=role,
        packages=tuple(builtin().get(role, builtin()["base"])["packages"][packages]),
        services=tuple(builtin().get(role, builtin()["base"])["services"][packages]),
        answer_url=f"{NODE_URL}/a/{ANSWER_TOKEN}",
        callback_url=f"{NODE_URL}/c/{CALLBACK_TOKEN}",
        system_disk=SYSTEM,
        data_disks=DATA,
        keep_disks=KEEP,
        ntp=("10.77.0.1",),
        ssh_keys=(KEY,),
    )
    return replace(found, **more)


def full(family: str, version: str, role: str = "storage", installer: str = "") -> AnswerSpec:
    """The same with everything said that can be: static addresses, more cards, LVM, a password."""
    return spec(
        family,
        version,
        role,
        installer,
        boot=Card(MAC, address="10.77.0.11/24", gateway="10.77.0.1", dns=("10.77.0.2", "10.77.0.3")),
        cards=(
            Card("52:54:00:00:00:02", address="10.78.0.11/24", vlan=120),
            Card("52:54:00:00:00:03", address="10.79.0.11/16"),
            Card("52:54:00:00:00:04"),
            Card("52:54:00:00:00:05", vlan=7),
        ),
        storage=LVM,
        timezone="Europe/Rome",
        locale="de_DE.UTF-8",
        keyboard="de",
        ntp=("10.77.0.1", "ntp.example.org"),
        root_password_hash=SHA512,
    )
