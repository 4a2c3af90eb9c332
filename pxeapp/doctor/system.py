"""Checks of this host itself, which need nothing of an appliance: programs, clock, KVM."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pxeapp.config import Settings
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn

EVERYWHERE = "/usr/local/sbin:/usr/sbin:/sbin"  # where a user's PATH does not look


@dataclass(frozen=True, slots=True)
class Program:
    """One that we start: the package that brings it, and what is not possible without it."""

    name: str
    package: str
    without: str
    needed: Callable[[Settings], bool] = lambda _: False  # else its lack is a warning
    wanted: Callable[[Settings], bool] = lambda _: True


def _dhcp(settings: Settings) -> bool:
    return settings.dhcp != "off"


def _postgresql(settings: Settings) -> bool:
    return settings.database_url.startswith("postgresql")


PROGRAMS = (
    Program("dnsmasq", "dnsmasq-base", "there is no DHCP", needed=_dhcp, wanted=_dhcp),
    Program("nginx", "nginx-light", "there is no package mirror, and big files go through Python"),
    Program("grub-mkimage", "grub-common grub-efi-amd64-bin", "UEFI machines go back to their firmware to find a disk"),
    Program("ipmitool", "ipmitool", "pxeapp machine console does not work"),
    Program("ip", "iproute2", "the addresses of the DHCP interface are not known", wanted=_dhcp),
    Program("bsdtar", "libarchive-tools", "pxeapp release add-debian cannot look into an installer"),
    Program("apt-get", "apt", "pxeapp release add-debian does not work"),
    Program("gpg", "gpg gpg-agent", "repositories cannot be signed"),
    Program("gpgv", "gpgv", "what others have signed cannot be verified"),
    Program("createrepo_c", "createrepo-c", "rpm repositories cannot be made"),
    Program("rpm", "rpm", "rpm packages cannot be uploaded"),
    Program("pg_dump", "postgresql-client", "pxeapp backup does not work", wanted=_postgresql),
)


def programs(patient: Patient) -> Finding:
    """The programs that we start are installed."""
    wanted = [each for each in PROGRAMS if each.wanted(patient.settings)]
    missing = [each for each in wanted if not _found(each.name)]
    if not missing:
        return ok(f"All programs that we start are installed: {', '.join(each.name for each in wanted)}.")
    said = " ".join(f"{each.name} is not installed, so {each.without}." for each in missing)
    install = f"Run: apt-get install {' '.join(each.package for each in missing)}"
    return fail(said, install) if any(each.needed(patient.settings) for each in missing) else warn(said, install)


def _found(name: str) -> bool:
    return shutil.which(name) is not None or shutil.which(name, path=EVERYWHERE) is not None


TIME_ERROR, STA_UNSYNC = 5, 0x40  # linux/timex.h
WORST_MS = 1000


class _Timex(ctypes.Structure):
    """The beginning of struct timex; the rest is room that the kernel may fill."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # microseconds
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@dataclass(frozen=True, slots=True)
class Clock:
    """What the kernel says of its clock: whether something keeps it in step, and how far off it may be."""

    kept: bool
    error_ms: float


def kernel_clock() -> Clock | None:
    """Ask the kernel; nothing is sent and nothing is set. None where a container's rules forbid the question."""
    about = _Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(about))
    if state < 0:
        return None
    return Clock(state != TIME_ERROR and not about.status & STA_UNSYNC, about.maxerror / 1000)


def clock(patient: Patient) -> Finding:
    """Something keeps this host's clock in step: deadlines, tokens and certificates live by it."""
    return judge(kernel_clock(), f"{patient.now:%Y-%m-%d %H:%M} UTC")


def judge(found: Clock | None, shown: str) -> Finding:
    """The same from what the kernel said."""
    if found is None:
        return ok(f"The clock shows {shown}; whether it is kept in step is the container's host's to know.")
    if not found.kept:
        return warn(
            f"Nothing keeps this host's clock in step (it shows {shown}).",
            "Install a time service: apt-get install chrony — or: timedatectl set-ntp true",
        )
    if found.error_ms > WORST_MS:
        return warn(
            f"The clock shows {shown} and may be off by {found.error_ms / 1000:.1f} s.",
            "Look what the time service says: chronyc tracking — or: timedatectl timesync-status",
        )
    return ok(f"The clock is kept in step; it shows {shown}.")


KVM = Path("/dev/kvm")
KVM_GET_API_VERSION, KVM_API = 0xAE00, 12  # linux/kvm.h
EMULATOR = "qemu-system-x86_64"


def kvm(patient: Patient) -> Finding:  # noqa: ARG001 - every check has this shape
    """Where the virtual rack can run, its machines run on the processor itself."""
    return judge_kvm(KVM, rack=shutil.which(EMULATOR) is not None)


def judge_kvm(device: Path, *, rack: bool) -> Finding:
    """The same of a given device; `rack` says whether there is an emulator at all."""
    if not rack:
        return ok("There is no virtual rack on this host, so KVM is not needed.")
    slow = "the virtual rack emulates every instruction and is slow; real machines do not care"
    if not device.exists():
        return warn(
            f"There is no {device}, so {slow}.",
            "Switch virtualisation on in the firmware (or nested virtualisation on the host), then: modprobe kvm",
        )
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return warn(f"{device} cannot be used ({error.strerror}), so {slow}.", "Put this user into its group: kvm")
    try:
        version = fcntl.ioctl(descriptor, KVM_GET_API_VERSION)
    except OSError:
        version = 0
    finally:
        os.close(descriptor)
    if version != KVM_API:
        return warn(f"{device} is no KVM, so {slow}.", "See what the kernel says of it: dmesg")
    return ok(f"{device} can be used.")
