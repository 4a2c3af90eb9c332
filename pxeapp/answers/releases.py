"""What differs between installers: one table over (family, major version, installer).

What is not in it cannot be answered. The systems are those of pxeapp/systems.py, which knows how long each is kept and
what it runs on. Ubuntu 20.04 has two installers, and so two lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from pxeapp import systems
from pxeapp.errors import Invalid
from pxeapp.systems import AUTOINSTALL, KICKSTART, PRESEED

EL_FAMILIES = ("centos", "rocky", "alma")
# The kinds of password hash that a system's C library can check. A Debian workstation makes yescrypt (y) by default.
GLIBC_CRYPT = ("5", "6", "1")
XCRYPT = ("6", "5", "y", "2b", "2y", "2a", "1")
# Who takes a machine over; salt-minion comes from a repository of the site's: no distribution has it any more.
AGENTS = {"salt": "salt-minion", "puppet": "puppet-agent", "ansible": "ansible"}


@dataclass(frozen=True, slots=True)
class Enterprise:
    """A kickstart dialect, named as pykickstart names it. Sources: pykickstart's handlers, anaconda's own branches."""

    installer: ClassVar[str] = KICKSTART
    syntax: str
    minimal: str  # the package environment
    legacy: bool = False  # EL7: authconfig, no sshkey, no timesource, target at /mnt/sysimage
    timesource: bool = True  # EL9+: `timesource`; before: `timezone --ntpservers`
    split: bool = True  # EL8+: AppStream is a repository of its own
    memory_mib: int = 3072  # for an installation over the network; the runtime image lies in memory
    filesystems: tuple[str, ...] = ("xfs", "ext4")  # of the system; the first is the release's own choice

    @property
    def connections(self) -> str:
        """How the installed system's network is written: ifcfg files of the initscripts, then NetworkManager's own."""
        return "ifcfg" if self.legacy else "keyfile"

    @property
    def network_packages(self) -> tuple[str, ...]:
        """What a network of more than plain cards needs; NetworkManager brings bonds, VLANs and bridges itself."""
        return ("NetworkManager", "bridge-utils") if self.legacy else ("NetworkManager",)

    @property
    def selinux_by_kernel(self) -> bool:
        """From EL9 on SELinux is only off when the kernel is told so; /etc/selinux/config alone loads no policy."""
        return self.syntax not in ("RHEL7", "RHEL8")

    @property
    def dnf(self) -> str:
        """Where the package manager is configured."""
        return "/etc/yum.conf" if self.legacy else "/etc/dnf/dnf.conf"

    @property
    def priorities(self) -> tuple[str, ...]:
        """What it needs for repositories with priorities: yum a plugin, dnf nothing."""
        return ("yum-plugin-priorities",) if self.legacy else ()

    @property
    def agents(self) -> dict[str, str]:
        """The packages of who takes machines over."""
        return {**AGENTS, "ansible": "ansible" if self.legacy else "ansible-core"}

    @property
    def traceback(self) -> bool:
        """Before EL9 an unexpected error runs %traceback; since then it runs %onerror, and %traceback is deprecated."""
        return self.syntax in ("RHEL7", "RHEL8")

    @property
    def crypt(self) -> tuple[str, ...]:
        """The password hashes it can check."""
        return GLIBC_CRYPT if self.legacy else XCRYPT


UBUNTU_COMPONENTS = ("restricted", "universe", "multiverse")


@dataclass(frozen=True, slots=True)
class Debian:
    """A debian-installer dialect."""

    installer: ClassVar[str] = PRESEED
    suite: str
    ubuntu: bool = False
    crypt: tuple[str, ...] = XCRYPT
    netplan: bool = False  # the installed system's network is netplan's, over networkd; else ifupdown's
    memory_mib: int = 1024
    filesystems: tuple[str, ...] = ("ext4", "xfs")

    @property
    def components(self) -> tuple[str, ...]:
        """Beside main: apt-setup has a question named like each, and writes some of them down unless it is told."""
        return UBUNTU_COMPONENTS if self.ubuntu else ("contrib", "non-free", "non-free-firmware")

    @property
    def inline_keys(self) -> bool:
        """Whether apt-setup/localN/key may be the key itself, base64://...: Debian's apt-setup since 2021."""
        return not self.ubuntu

    @property
    def agents(self) -> dict[str, str]:
        """The packages of who takes machines over."""
        return {**AGENTS, "puppet": "puppet"} if self.ubuntu else AGENTS


@dataclass(frozen=True, slots=True)
class Subiquity:
    """Ubuntu's live server installer. Sources: subiquity's autoinstall reference and the code of each release's media.

    Media carry the installer of their day and the machines must not fetch a newer one, so what came later is not said.
    """

    installer: ClassVar[str] = AUTOINSTALL
    ubuntu: ClassVar[bool] = True
    netplan: ClassVar[bool] = True
    filesystems: ClassVar[tuple[str, ...]] = ("ext4", "xfs")
    suite: str
    seed: str = "nocloud"  # how `ds=` calls a seed over HTTP; the media of 20.04 and 22.04 know the older word only
    mirror_selection: bool = True  # apt.mirror-selection and apt.fallback; before: curtin's apt.primary
    sizing_policy: bool = True  # storage.layout.sizing-policy; without it LVM's root volume is grown afterwards
    sources: bool = True  # source.id: the media hold more than one system
    default_route: str = "default"  # how netplan calls it; before 0.103 as a prefix only
    crypt: tuple[str, ...] = XCRYPT
    memory_mib: int = 8192  # the ISO lies in memory twice while it is unpacked: a little over 2 x its size
    puppet: str = "puppet-agent"  # the agent's package; before 24.04: puppet

    @property
    def agents(self) -> dict[str, str]:
        """The packages of who takes machines over."""
        return {**AGENTS, "puppet": self.puppet}


Dialect = Enterprise | Debian | Subiquity
_Kind = TypeVar("_Kind", Enterprise, Debian, Subiquity)

DIALECTS: dict[tuple[str, str, str], Dialect] = {
    ("centos", "7", KICKSTART): Enterprise(
        "RHEL7", "@^minimal", legacy=True, timesource=False, split=False, memory_mib=2048
    ),
    ("centos", "9", KICKSTART): Enterprise("RHEL9", "@^minimal-environment"),
    ("centos", "10", KICKSTART): Enterprise("RHEL10", "@^minimal-environment"),
    **{
        (family, version, KICKSTART): Enterprise(f"RHEL{version}", "@^minimal-environment", timesource=version != "8")
        for family in ("rocky", "alma")
        for version in ("8", "9", "10")
    },
    ("debian", "12", PRESEED): Debian("bookworm"),
    ("debian", "13", PRESEED): Debian("trixie"),
    ("ubuntu", "16.04", PRESEED): Debian("xenial", ubuntu=True, crypt=GLIBC_CRYPT),
    ("ubuntu", "18.04", PRESEED): Debian("bionic", ubuntu=True, crypt=GLIBC_CRYPT, netplan=True),
    ("ubuntu", "20.04", PRESEED): Debian("focal", ubuntu=True, netplan=True),
    ("ubuntu", "20.04", AUTOINSTALL): Subiquity(
        "focal",
        seed="nocloud-net",
        mirror_selection=False,
        sizing_policy=False,
        sources=False,
        default_route="0.0.0.0/0",
        memory_mib=4096,
        puppet="puppet",
    ),
    ("ubuntu", "22.04", AUTOINSTALL): Subiquity(
        "jammy", seed="nocloud-net", mirror_selection=False, memory_mib=6144, puppet="puppet"
    ),
    ("ubuntu", "24.04", AUTOINSTALL): Subiquity("noble"),
    ("ubuntu", "26.04", AUTOINSTALL): Subiquity("resolute"),
}


def dialect(family: str, version: str, installer: str = "") -> Dialect:
    """The dialect of a release; `9.4` is 9, `20.04.6` is 20.04; without an installer the system's first one.

    Raises Invalid for a release that we have no answers for, with what is possible.
    """
    installer = installer or systems.default_installer(family, version)
    found = DIALECTS.get((family, systems.major(family, version), installer))
    if found is None:
        systems.check(installer, family, version)
        raise Invalid(f"There are no answer files for {family} {version} by {installer}.")
    return found


def check(installer: str, family: str, version: str) -> Dialect:
    """The dialect, when this installer installs the release; raises Invalid with what is possible instead."""
    systems.check(installer, family, version)
    return dialect(family, version, installer)


def enterprise(family: str, version: str) -> Enterprise:
    """The kickstart dialect; raises Invalid for a release that reads no kickstart."""
    return _of(Enterprise, family, version)


def debian(family: str, version: str) -> Debian:
    """The preseed dialect; raises Invalid for a release that reads no preseed."""
    return _of(Debian, family, version)


def subiquity(family: str, version: str) -> Subiquity:
    """The autoinstall dialect; raises Invalid for a release that reads no autoinstall."""
    return _of(Subiquity, family, version)


def _of(kind: type[_Kind], family: str, version: str) -> _Kind:
    found = dialect(family, version, kind.installer)
    if not isinstance(found, kind):
        raise Invalid(f"{family} {version} is not installed by {kind.installer}.")
    return found
