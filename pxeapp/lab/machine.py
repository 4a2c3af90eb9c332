"""A QEMU machine: its command line, as a pure function of what it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pxeapp.errors import Unavailable
from pxeapp.lab.spec import MachineSpec

OVMF = Path("/usr/share/OVMF")
CODE = {"plain": "OVMF_CODE_4M.fd", "secure": "OVMF_CODE_4M.secboot.fd"}
VARS = {"plain": "OVMF_VARS_4M.fd", "secure": "OVMF_VARS_4M.ms.fd"}  # .ms: Microsoft's keys, Secure Boot on
DISK_INDEX = 5
NET_FIRST, NET_LAST = 1, 9
DISK_SLOT = 0x10  # PCI slots of our own choice, so that each disk's stable path is known before it boots


@dataclass(frozen=True, slots=True)
class Places:
    """Where a machine's files and sockets lie."""

    folder: Path
    sockets: Path
    tap: str

    @property
    def disk(self) -> Path:
        """Its disk image."""
        return self.folder / "disk.qcow2"

    def data_disk(self, number: int) -> Path:
        """The image of a data disk, counted from 1; raw, so that a test can look inside."""
        return self.folder / f"data{number}.img"

    @property
    def variables(self) -> Path:
        """Its UEFI variables: boot entries and keys."""
        return self.folder / "vars.fd"

    @property
    def console_log(self) -> Path:
        """Everything it ever said on its serial port."""
        return self.folder / "console.log"

    @property
    def monitor(self) -> Path:
        """QEMU's control socket."""
        return self.sockets / "qmp"

    @property
    def serial(self) -> Path:
        """The chassis' socket that QEMU connects its serial port to."""
        return self.sockets / "serial"

    @property
    def chassis(self) -> Path:
        """The chassis' own control socket."""
        return self.sockets / "chassis"


def disk_path(number: int) -> str:
    """The stable path below /dev of a disk: 0 is the system's, then the data disks."""
    return f"disk/by-path/pci-0000:00:{DISK_SLOT + number:02x}.0"


def argv(spec: MachineSpec, places: Places, acceleration: Sequence[str], *, net_index: int) -> list[str]:
    """QEMU's command line. `net_index`: where the network stands in the boot order of the boot that comes."""
    rom = "" if spec.nic_rom == "ipxe" and spec.firmware != "secureboot" else ",romfile="
    return [
        "qemu-system-x86_64", "-name", spec.name, "-nodefaults", "-no-user-config", "-display", "none",
        *acceleration, "-smp", str(spec.cpus), "-m", str(spec.memory_mib),
        *_board(spec, places),
        "-uuid", spec.uuid,
        "-smbios", f"type=1,manufacturer=pxeapp,product=Virtual rack,serial={spec.serial},uuid={spec.uuid}",
        "-chardev", f"socket,id=ser0,path={places.serial},server=off,reconnect=1", "-serial", "chardev:ser0",
        "-qmp", f"unix:{places.monitor},server=on,wait=off",
        "-netdev", f"tap,id=net0,ifname={places.tap},script=no,downscript=no",
        "-device", f"virtio-net-pci,id=net0,netdev=net0,mac={spec.mac},bootindex={net_index}{rom}",
        "-drive", f"if=none,id=disk0,file={places.disk},format=qcow2,cache=unsafe,discard=unmap",
        "-device", f"virtio-blk-pci,id=disk0,drive=disk0,bootindex={DISK_INDEX},addr={DISK_SLOT:#x}",
        *_data_disks(spec, places),
        "-device", "virtio-rng-pci",
    ]  # fmt: skip


def _data_disks(spec: MachineSpec, places: Places) -> list[str]:
    found = []
    for number in range(1, spec.data_disks + 1):
        found += [
            "-drive", f"if=none,id=disk{number},file={places.data_disk(number)},format=raw,cache=unsafe,discard=unmap",
            "-device", f"virtio-blk-pci,drive=disk{number},addr={DISK_SLOT + number:#x}",
        ]  # fmt: skip
    return found


def _board(spec: MachineSpec, places: Places) -> list[str]:
    if spec.firmware == "bios":
        return ["-machine", "pc,graphics=off"]  # SeaBIOS and iPXE then talk on the serial port
    kind = "secure" if spec.firmware == "secureboot" else "plain"
    flash = [
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF / CODE[kind]}",
        "-drive", f"if=pflash,unit=1,format=raw,file={places.variables}",
    ]  # fmt: skip
    if kind == "secure":
        lock = ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]
        return ["-machine", "q35,smm=on", *lock, *flash]
    http_only = []
    if spec.firmware == "uefi-http":
        for family in ("IPv4", "IPv6"):
            http_only += ["-fw_cfg", f"name=opt/org.tianocore/{family}PXESupport,string=n"]
    return ["-machine", "q35,smm=off", *flash, *http_only]


def prepare(spec: MachineSpec, places: Places) -> None:
    """Empty disks and fresh UEFI variables; what is there stays."""
    places.folder.mkdir(parents=True, exist_ok=True)
    places.sockets.mkdir(parents=True, exist_ok=True)
    if not places.disk.exists():
        _run("qemu-img", "create", "-q", "-f", "qcow2", str(places.disk), f"{spec.disk_gib}G")
    for number in range(1, spec.data_disks + 1):
        with places.data_disk(number).open("ab") as image:
            image.truncate(spec.data_gib << 30)
    if spec.firmware != "bios" and not places.variables.exists():
        source = OVMF / VARS["secure" if spec.firmware == "secureboot" else "plain"]
        if not source.exists():
            raise Unavailable(f"{source} is missing.", hint="Install the package ovmf.")
        shutil.copy(source, places.variables)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise Unavailable(f"`{command[0]}` failed: {done.stderr.strip()}")
