"""What differs between installers: one table over (family, major version). A release not in it cannot be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pxeapp.errors import FieldProblem, Invalid

EL_FAMILIES = ("centos", "rocky", "alma")
# The kinds of password hash that a system's C library can check. A Debian workstation makes yescrypt (y) by default.
GLIBC_CRYPT = ("5", "6", "1")
XCRYPT = ("6", "5", "y", "2b", "2y", "2a", "1")


@dataclass(frozen=True, slots=True)
class Enterprise:
    """A kickstart dialect, named as pykickstart names it. Sources: pykickstart's handlers, anaconda's own branches."""

    installer: ClassVar[str] = "kickstart"
    syntax: str
    minimal: str  # the package environment
    legacy: bool = False  # EL7: authconfig, no sshkey, no timesource, target at /mnt/sysimage
    timesource: bool = True  # EL9+: `timesource`; before: `timezone --ntpservers`
    split: bool = True  # EL8+: AppStream is a repository of its own

    @property
    def traceback(self) -> bool:
        """Before EL9 an unexpected error runs %traceback; since then it runs %onerror, and %traceback is deprecated."""
        return self.syntax in ("RHEL7", "RHEL8")

    @property
    def crypt(self) -> tuple[str, ...]:
        """The password hashes it can check."""
        return GLIBC_CRYPT if self.legacy else XCRYPT


@dataclass(frozen=True, slots=True)
class Debian:
    """A debian-installer dialect."""

    installer: ClassVar[str] = "preseed"
    suite: str
    ubuntu: bool = False
    crypt: tuple[str, ...] = XCRYPT


DIALECTS: dict[tuple[str, str], Enterprise | Debian] = {
    ("centos", "7"): Enterprise("RHEL7", "@^minimal", legacy=True, timesource=False, split=False),
    ("centos", "9"): Enterprise("RHEL9", "@^minimal-environment"),
    ("centos", "10"): Enterprise("RHEL10", "@^minimal-environment"),
    **{
        (family, version): Enterprise(f"RHEL{version}", "@^minimal-environment", timesource=version != "8")
        for family in ("rocky", "alma")
        for version in ("8", "9", "10")
    },
    ("debian", "12"): Debian("bookworm"),
    ("debian", "13"): Debian("trixie"),
    ("ubuntu", "18.04"): Debian("bionic", ubuntu=True, crypt=GLIBC_CRYPT),
    ("ubuntu", "20.04"): Debian("focal", ubuntu=True),
}


def dialect(family: str, version: str) -> Enterprise | Debian:
    """The dialect of a release; `9.4` is 9, `20.04.6` is 20.04. Raises Invalid for a release we have no answers for."""
    parts = version.split(".")
    major = ".".join(parts[:2]) if family == "ubuntu" else parts[0].removesuffix("-stream")
    found = DIALECTS.get((family, major))
    if found is None:
        raise _unsupported(family, version)
    return found


def check(installer: str, family: str, version: str) -> Enterprise | Debian:
    """The dialect, when this installer is the one the release is installed by; raises Invalid with what is possible."""
    found = dialect(family, version)
    if found.installer != installer:
        raise Invalid(
            f"We install {family} {version} by {found.installer}, not by {installer}.",
            problems=[
                FieldProblem("release", f"says {installer}.", f"Add it anew with: --installer {found.installer}")
            ],
            hint=f"Add the release anew with the installer {found.installer}.",
        )
    return found


def enterprise(family: str, version: str) -> Enterprise:
    """The kickstart dialect; raises Invalid for a release that reads no kickstart."""
    found = dialect(family, version)
    if not isinstance(found, Enterprise):
        raise Invalid(f"{family} {version} is not installed by kickstart.", hint="Its installer reads a preseed.")
    return found


def debian(family: str, version: str) -> Debian:
    """The preseed dialect; raises Invalid for a release that reads no preseed."""
    found = dialect(family, version)
    if not isinstance(found, Debian):
        raise Invalid(f"{family} {version} is not installed by preseed.", hint="Its installer reads a kickstart.")
    return found


def _unsupported(family: str, version: str) -> Invalid:
    known = ", ".join(f"{name} {number}" for name, number in DIALECTS)
    why = ""
    if family == "ubuntu" and version[:2].isdigit() and int(version[:2]) >= 22:
        why = "From 22.04 on Ubuntu is installed by autoinstall only, which we do not render yet. "
    return Invalid(
        f"There are no answer files for {family} {version}.",
        problems=[FieldProblem("release", f"{family} {version} is not supported.", f"{why}Supported: {known}.")],
        hint=f"{why}Possible are: {known}.",
    )
