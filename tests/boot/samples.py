"""The machines that the tests of this part boot."""

from __future__ import annotations

from pathlib import Path

from pxeapp.boot.dnsmasq import DhcpNetwork, DhcpPlan, Reservation
from pxeapp.boot.spec import InstallBoot, LocalBoot

NODE_URL = "http://10.77.0.1:8081"
MAC = "52:54:00:00:00:01"

INSTALL = InstallBoot(
    machine="compute-01",
    mac=MAC,
    release="debian-13",
    kernel="media/debian-13/linux",
    initrds=("media/debian-13/initrd.gz",),
    args='auto=true priority=critical url=http://10.77.0.1:8081/a/TOKEN/preseed note="two words" '
    "ds=nocloud;s=http://10.77.0.1:8081/ --- console=ttyS0",
)
TWO_INITRDS = InstallBoot(
    machine="c2",
    mac=MAC,
    release="rocky-9",
    kernel="media/rocky-9/vmlinuz",
    initrds=("media/rocky-9/initrd.img", "media/rocky-9/updates.img"),
    args="",
)
LOCAL = LocalBoot("compute-01 is not armed")

RACK = DhcpNetwork(
    "rack",
    "10.77.0.0/24",
    start="10.77.0.100",
    end="10.77.0.200",
    gateway="10.77.0.254",
    dns=("10.77.0.2", "10.77.0.3"),
    ntp=("10.77.0.4",),
    domain="rack.example.org",
)
STATIC = DhcpNetwork("storage", "10.78.0.0/16")
RESERVATIONS = (
    Reservation("sb1", "52:54:00:00:00:02", "10.77.0.12", secure_boot=True),
    Reservation("compute-01", MAC, "10.77.0.11"),
    Reservation("roaming", "52:54:00:00:00:03"),
)


def plan(mode: str, interface: str = "eno1", lease_file: str = "/var/lib/pxeapp/run/dnsmasq.leases") -> DhcpPlan:
    """Two networks, three machines."""
    return DhcpPlan(mode, interface, NODE_URL, (RACK, STATIC), Path(lease_file), RESERVATIONS)  # type: ignore[arg-type]
