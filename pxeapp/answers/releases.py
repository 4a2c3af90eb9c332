"""What differs between installers: one table over (family, major version). A release not in it cannot be answered."""

from __future__ import annotations

from dataclasses import dataclass

from pxeapp.errors import FieldProblem, Invalid

EL_FAMILIES = ("centos", "rocky", "alma")


@dataclass(frozen=True, slots=True)
class Enterprise:
    """A kickstart dialect, named as pykickstart names it. Sources: pykickstart's handlers, anaconda's own branches."""

    syntax: str
    minimal: str  # the package environment
    legacy: bool = False  # EL7: authconfig, no sshkey, no timesource, target at /mnt/sysimage
    timesource: bool = True  # EL9+: `timesource`; before: `timezone --ntpservers`
    split: bool = True  # EL8+: AppStream is a repository of its own


@dataclass(frozen=True, slots=True)
class Debian:
    """A debian-installer dialect."""

    suite: str
    ubuntu: bool = False


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
    ("ubuntu", "18.04"): Debian("bionic", ubuntu=True),
    ("ubuntu", "20.04"): Debian("focal", ubuntu=True),
}


def dialect(family: str, version: str) -> Enterprise | Debian:
    """The dialect of a release; `9.4` is 9, `20.04` stays. Raises Invalid for a release we have no answers for."""
    key = (family, version if family == "ubuntu" else version.split(".", 1)[0].removesuffix("-stream"))
    found = DIALECTS.get(key)
    if found is None:
        known = ", ".join(f"{name} {number}" for name, number in DIALECTS)
        raise Invalid(
            f"There are no answer files for {family} {version}.",
            problems=[FieldProblem("release", f"{family} {version} is not supported.", f"Supported: {known}.")],
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
