"""What can be installed at all: one table over (family, major version), for whoever adds a release or answers it.

The major version is what point versions have in common: `9` for Rocky 9.4, `20.04` for Ubuntu 20.04.6. How the answer
files of a system differ stands in answers/releases.py, with the same keys.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pxeapp.errors import FieldProblem, Invalid

KICKSTART, PRESEED, AUTOINSTALL = "kickstart", "preseed", "autoinstall"


@dataclass(frozen=True, slots=True)
class System:
    """An operating system. `until` is the last day of security updates that cost nothing, by its maker's calendar."""

    title: str
    installers: tuple[str, ...]  # the first one is meant when none is named
    until: dt.date
    cpu: str = "x86-64"  # the oldest processor that its programs run on, as the psABI's levels
    note: str = ""  # what to know before installing it


_D_I = (PRESEED,)
_EL = (KICKSTART,)
_V2, _V3 = "x86-64-v2", "x86-64-v3"
# CentOS: centos.org/cl-vs-cs; Rocky and Alma: their release pages; Debian: wiki.debian.org/DebianReleases with LTS;
# Ubuntu: ubuntu.com/about/release-cycle, standard support.
SYSTEMS: dict[tuple[str, str], System] = {
    ("centos", "7"): System(
        "CentOS Linux 7", _EL, dt.date(2024, 6, 30), note="Its mirrors are switched off: serve a copy of the archive."
    ),
    ("centos", "9"): System("CentOS Stream 9", _EL, dt.date(2027, 5, 31), _V2),
    ("centos", "10"): System("CentOS Stream 10", _EL, dt.date(2030, 5, 31), _V3),
    ("rocky", "8"): System("Rocky Linux 8", _EL, dt.date(2029, 5, 31)),
    ("rocky", "9"): System("Rocky Linux 9", _EL, dt.date(2032, 5, 31), _V2),
    ("rocky", "10"): System("Rocky Linux 10", _EL, dt.date(2035, 5, 31), _V3),
    ("alma", "8"): System("AlmaLinux 8", _EL, dt.date(2029, 3, 1)),
    ("alma", "9"): System("AlmaLinux 9", _EL, dt.date(2032, 5, 31), _V2),
    ("alma", "10"): System(
        "AlmaLinux 10",
        _EL,
        dt.date(2035, 5, 31),
        _V3,
        note="There is a build for x86-64-v2 besides, in a tree of its own.",
    ),
    ("debian", "12"): System("Debian 12", _D_I, dt.date(2028, 6, 30)),
    ("debian", "13"): System("Debian 13", _D_I, dt.date(2030, 6, 30)),
    ("ubuntu", "16.04"): System("Ubuntu 16.04", _D_I, dt.date(2021, 4, 30)),
    ("ubuntu", "18.04"): System("Ubuntu 18.04", _D_I, dt.date(2023, 5, 31)),
    ("ubuntu", "20.04"): System(
        "Ubuntu 20.04",
        (PRESEED, AUTOINSTALL),
        dt.date(2025, 5, 31),
        note="preseed needs the legacy netboot images, autoinstall the live server's ISO.",
    ),
    ("ubuntu", "22.04"): System("Ubuntu 22.04", (AUTOINSTALL,), dt.date(2027, 5, 31)),
    ("ubuntu", "24.04"): System("Ubuntu 24.04", (AUTOINSTALL,), dt.date(2029, 5, 31)),
    ("ubuntu", "26.04"): System("Ubuntu 26.04", (AUTOINSTALL,), dt.date(2031, 5, 31)),
}


def major(family: str, version: str) -> str:
    """What a version belongs to: `9.4` and `9-stream` to 9, `20.04.6` to 20.04."""
    parts = version.split(".")
    return ".".join(parts[:2]) if family == "ubuntu" else parts[0].removesuffix("-stream")


def versions(family: str) -> list[str]:
    """The major versions of a family that we install, the oldest first; none of a family that we do not know."""
    return [version for each, version in SYSTEMS if each == family]


def default_installer(family: str, version: str) -> str:
    """The installer that is meant when none is named; empty for a system that we do not know."""
    found = SYSTEMS.get((family, major(family, version)))
    return found.installers[0] if found else ""


def check(installer: str, family: str, version: str) -> System:
    """The system, if this installer installs it; raises Invalid with what is possible instead."""
    found = SYSTEMS.get((family, major(family, version)))
    if found is None:
        raise _unsupported(family, version)
    if installer not in found.installers:
        ours = " or ".join(found.installers)
        raise Invalid(
            f"We install {family} {version} by {ours}, not by {installer or 'nothing'}.",
            problems=[FieldProblem("release", f"says {installer}.", f"Add it anew with: --installer {ours}")],
            hint=f"Add the release anew with the installer {ours}.",
        )
    return found


def remark(family: str, version: str, *, today: dt.date) -> str:
    """What to know before installing it, in a sentence or two; empty when there is nothing."""
    found = SYSTEMS.get((family, major(family, version)))
    if found is None:
        return ""
    over = f"{found.title} has had no free security updates since {found.until}." if found.until < today else ""
    cpu = f"It runs on processors of the level {found.cpu} only." if found.cpu == _V3 else ""
    return " ".join(part for part in (over, cpu, found.note) if part)


def _unsupported(family: str, version: str) -> Invalid:
    known = ", ".join(f"{name} {number}" for name, number in SYSTEMS)
    return Invalid(
        f"There are no answer files for {family} {version}.",
        problems=[FieldProblem("release", f"{family} {version} is not supported.", f"Supported: {known}.")],
        hint=f"Possible are: {known}.",
    )
