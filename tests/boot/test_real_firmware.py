"""Real firmware in QEMU boots what we render: to a kernel that reports, or from its own disk.

Each test powers on two machines at once, because one emulated machine keeps one core busy.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.boot import loaders
from pxeapp.boot.dnsmasq import Reservation
from tests.boot import rig as rigs
from tests.boot.rig import BOOTED, LOCAL, UNARMED, Rig, install

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86 is not installed"),
    pytest.mark.skipif(bool(loaders.report(loaders.find())), reason=loaders.report(loaders.find())),
]

INSTALLS = "52:54:00:77:00:01"
STAYS = "52:54:00:77:00:02"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as made:
        made.boots(INSTALLS, install(INSTALLS))
        made.boots(STAYS, UNARMED)
        yield made


def _kernel_line(console: str) -> str:
    return next(line for line in console.splitlines() if BOOTED in line)


def test_bios_installs_when_armed_and_boots_its_disk_when_not(rig: Rig, tmp_path: Path) -> None:
    rig.serve(Reservation("t1", INSTALLS, "10.77.0.11"), Reservation("t2", STAYS, "10.77.0.12"))
    # QEMU's ROM is iPXE already and would never ask for undionly.kpxe; so the second machine's ROM is sent to it.
    (rig.http_root / "ipxe" / f"{STAYS}.first").write_text("#!ipxe\nchain tftp://10.77.0.1/undionly.kpxe\n")
    armed = rig.power_on(INSTALLS, *rigs.bios())
    unarmed = rig.power_on(STAYS, *rigs.bios(), disk=rigs.disk_bios(tmp_path / "disk"))
    assert 'seed="a;b"' in _kernel_line(armed.wait_for(BOOTED))
    unarmed.wait_for(LOCAL)
    assert "undionly.kpxe to 10.77.0.12" in rig.dhcp_log()
    assert rig.requests().count(f"mac={STAYS.replace(':', '%3A')}") == 2  # the ROM, then undionly.kpxe
    assert "manufacturer=Test%20Works&product=Rig&platform=pcbios" in rig.requests()


def test_uefi_pxe_installs_when_armed_and_boots_its_disk_when_not(rig: Rig, tmp_path: Path) -> None:
    rig.serve(Reservation("t1", INSTALLS, "10.77.0.11"), Reservation("t2", STAYS, "10.77.0.12"))
    armed = rig.power_on(INSTALLS, *rigs.uefi(tmp_path))
    unarmed = rig.power_on(STAYS, *rigs.uefi(tmp_path, rom=True), disk=rigs.disk_uefi(tmp_path / "disk"))
    assert 'seed="a;b"' in _kernel_line(armed.wait_for(BOOTED))
    unarmed.wait_for(LOCAL)
    assert "snponly.efi to 10.77.0.11" in rig.dhcp_log()
    assert "serial=SN-tap1" in rig.requests()
    assert "GET /boot/loaders/localdisk.efi 200" in rig.requests()


def test_uefi_http_boot_installs_and_a_missing_kernel_ends_at_the_disk(rig: Rig, tmp_path: Path) -> None:
    rig.serve(Reservation("t1", INSTALLS, "10.77.0.11"), Reservation("t2", STAYS, "10.77.0.12"))
    rig.boots(STAYS, replace(install(STAYS), kernel="media/test/absent"))
    (rig.http_root / "ipxe" / f"{STAYS}.first").write_text("#!ipxe\nchain tftp://10.77.0.1/autoexec.ipxe\n")
    armed = rig.power_on(INSTALLS, *rigs.uefi_http(tmp_path))
    broken = rig.power_on(STAYS, *rigs.bios(), disk=rigs.disk_bios(tmp_path / "disk"))
    armed.wait_for(BOOTED)
    broken.wait_for(LOCAL)
    assert "HEAD /boot/loaders/ipxe.efi 200" in rig.requests()
    assert rig.requests().count("GET /media/test/absent 404") == 5
    assert "autoexec.ipxe to 10.77.0.12" in rig.dhcp_log()
    assert " to 10.77.0.11" not in rig.dhcp_log()  # HTTP Boot needs no TFTP


def test_secure_boot_installs_when_armed_and_boots_its_disk_when_not(rig: Rig, tmp_path: Path) -> None:
    rig.serve(
        Reservation("t1", INSTALLS, "10.77.0.11", secure_boot=True),
        Reservation("t2", STAYS, "10.77.0.12", secure_boot=True),
    )
    armed = rig.power_on(INSTALLS, *rigs.secure_boot(tmp_path))
    unarmed = rig.power_on(STAYS, *rigs.secure_boot(tmp_path), disk=rigs.disk_uefi(tmp_path / "disk"))
    console = armed.wait_for(BOOTED)
    assert "Secure boot enabled" in console
    assert "seed=a;b" in _kernel_line(console)
    assert "starting /EFI/debian/shimx64.efi" in unarmed.wait_for(LOCAL)
    assert rig.requests() == ""  # shim and the signed GRUB know TFTP only


def test_proxy_mode_boots_beside_the_networks_own_dhcp(rig: Rig, tmp_path: Path) -> None:
    rig.boots(INSTALLS, install(INSTALLS), report_identity=True)
    rig.boots(STAYS, install(STAYS))
    rig.serve(mode="proxy")
    bios = rig.power_on(INSTALLS, *rigs.bios())
    uefi = rig.power_on(STAYS, *rigs.uefi(tmp_path))
    bios.wait_for(BOOTED)
    uefi.wait_for(BOOTED)
    mac = INSTALLS.replace(":", "%3A")
    assert f"GET /boot/ipxe?mac={mac} 200" in rig.requests()  # the short URL; the rest is reported
    assert any(f"mac={mac}&serial=SN-tap1" in line and "&seen=1" in line for line in rig.requests().splitlines())
    assert "snponly.efi to 10.77.0.5" in rig.dhcp_log()  # an address of the other server's range


def test_pxelinux_installs_when_armed_and_boots_its_disk_when_not(rig: Rig, tmp_path: Path) -> None:
    rig.serve(
        Reservation("t1", INSTALLS, "10.77.0.11"), Reservation("t2", STAYS, "10.77.0.12"), bios_program="pxelinux.0"
    )
    armed = rig.power_on(INSTALLS, *rigs.bios())
    unarmed = rig.power_on(STAYS, *rigs.bios(), disk=rigs.disk_bios(tmp_path / "disk"))
    assert 'seed="a;b"' in _kernel_line(armed.wait_for(BOOTED))
    unarmed.wait_for(LOCAL)
    assert rig.requests() == ""
