"""What a virtual rack consists of, from a YAML file or the default one; every bad field is named."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from netaddr import AddrFormatError, IPAddress, IPNetwork

from pxeapp.errors import FieldProblem, Invalid

FIRMWARES = ("bios", "uefi", "uefi-http", "secureboot")
NIC_ROMS = ("ipxe", "firmware")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
DEFAULT_NETWORK = "10.77.0.0/24"
FIRST_BMC = 101  # the BMC of the first machine is .101
FIRST_HOST = 11


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """One virtual machine with its BMC. What is left out is derived from its place in the rack."""

    name: str
    firmware: str = "bios"
    nic_rom: str = "ipxe"  # ipxe: QEMU's option ROM; firmware: the firmware's own PXE client
    mac: str = ""
    address: str = ""
    memory_mib: int = 768
    cpus: int = 1
    disk_gib: int = 4
    data_disks: int = 0  # further disks, which an installation must not touch unless it is told to
    data_gib: int = 1  # the size of each of them
    network_first: bool = False  # the resting boot order: network before disk
    serial: str = ""
    uuid: str = ""
    bmc_address: str = ""
    bmc_user: str = "admin"
    bmc_password: str = "secret"  # noqa: S105 - the BMC of a virtual machine on a network without a way out
    role: str = "base"
    release: str = ""


@dataclass(frozen=True, slots=True)
class RackSpec:
    """A network and its machines."""

    name: str
    network: str
    machines: tuple[MachineSpec, ...]

    @property
    def appliance(self) -> str:
        """The address of the appliance's side of the network."""
        return str(IPNetwork(self.network).network + 1)

    @property
    def prefix(self) -> int:
        """The network's prefix length."""
        return int(IPNetwork(self.network).prefixlen)

    def machine(self, name: str) -> MachineSpec:
        """A machine by name; raises Invalid."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise Invalid(f"There is no machine {name!r} in this rack.", hint=f"There is: {', '.join(self.names)}.")

    @property
    def names(self) -> list[str]:
        """The machines' names."""
        return [machine.name for machine in self.machines]


def load(path: Path) -> RackSpec:
    """A rack from a YAML file; raises Invalid with every problem."""
    try:
        said = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Invalid(f"{path} cannot be read: {error}.") from error
    if not isinstance(said, dict):
        raise Invalid(f"{path} does not hold a rack.", hint="Write name, network and machines.")
    return build(said)


def build(said: dict[str, Any]) -> RackSpec:
    """A rack from plain values; raises Invalid with every problem."""
    problems: list[FieldProblem] = []
    unknown = set(said) - {"name", "network", "machines"}
    problems += [
        FieldProblem(name, "is not a known field.", "Use name, network, machines.") for name in sorted(unknown)
    ]
    cidr = str(said.get("network", DEFAULT_NETWORK))
    try:
        network = IPNetwork(cidr)
    except (AddrFormatError, ValueError):
        network = IPNetwork(DEFAULT_NETWORK)
        problems.append(FieldProblem("network", f"{cidr!r} is not a network.", "Write it as 10.77.0.0/24."))
    rows = said.get("machines")
    if not isinstance(rows, list) or not rows:
        problems.append(FieldProblem("machines", "there is none.", "List at least one with a name."))
        rows = []
    machines = []
    for index, row in enumerate(rows):
        found = list(_problems(index, row))
        problems += found
        if not found:
            machines.append(_derived(index, MachineSpec(**row), network))
    problems += _twice(machines)
    if problems:
        raise Invalid("The rack cannot be built.", problems=problems)
    return RackSpec(str(said.get("name", "rack")), str(network.cidr), tuple(machines))


def _problems(index: int, row: Any) -> list[FieldProblem]:
    where = f"machines.{index}"
    if not isinstance(row, dict) or "name" not in row:
        return [FieldProblem(f"{where}.name", "is missing.", "Name the machine.")]
    types = get_type_hints(MachineSpec)
    found = []
    for field, value in row.items():
        if field not in types:
            found.append(FieldProblem(f"{where}.{field}", "is not a known field.", f"Known: {', '.join(types)}."))
        elif not isinstance(value, types[field]) or (types[field] is int and isinstance(value, bool)):
            found.append(FieldProblem(f"{where}.{field}", f"{value!r} is not a {types[field].__name__}."))
    if found:
        return found
    checks = (
        ("name", bool(NAME.fullmatch(row["name"])), "Use a-z, 0-9 and dashes."),
        ("firmware", row.get("firmware", "bios") in FIRMWARES, f"Use {', '.join(FIRMWARES)}."),
        ("nic_rom", row.get("nic_rom", "ipxe") in NIC_ROMS, f"Use {', '.join(NIC_ROMS)}."),
        ("mac", not row.get("mac") or bool(MAC.fullmatch(row["mac"])), "Write it as 52:54:00:77:00:01."),
        ("memory_mib", 128 <= row.get("memory_mib", 768) <= 65536, "Use 128 to 65536."),
        ("cpus", 1 <= row.get("cpus", 1) <= 16, "Use 1 to 16."),
        ("data_disks", 0 <= row.get("data_disks", 0) <= 8, "Use 0 to 8."),
        ("disk_gib", 1 <= row.get("disk_gib", 4) <= 1000, "Use 1 to 1000."),
        ("data_gib", 1 <= row.get("data_gib", 1) <= 1000, "Use 1 to 1000."),
    )
    return [
        FieldProblem(f"{where}.{name}", f"{row.get(name)!r} is not possible.", fix)
        for name, good, fix in checks
        if not good
    ]


def _derived(index: int, machine: MachineSpec, network: IPNetwork) -> MachineSpec:
    values = {name: getattr(machine, name) for name in MachineSpec.__slots__}
    number = index + 1
    values["mac"] = machine.mac or f"52:54:00:77:{number >> 8:02x}:{number & 255:02x}"
    values["address"] = machine.address or str(IPAddress(network.first + FIRST_HOST + index))
    values["bmc_address"] = machine.bmc_address or str(IPAddress(network.first + FIRST_BMC + index))
    values["serial"] = machine.serial or f"LAB{number:04d}"
    values["uuid"] = machine.uuid or str(uuid.uuid5(uuid.NAMESPACE_OID, f"pxeapp-lab-{values['mac']}"))
    return MachineSpec(**values)


def _twice(machines: list[MachineSpec]) -> list[FieldProblem]:
    found = []
    for field in ("name", "mac", "address", "bmc_address", "serial", "uuid"):
        seen: set[str] = set()
        for machine in machines:
            value = getattr(machine, field)
            if value in seen:
                found.append(FieldProblem(field, f"{value} stands twice.", "Each machine needs its own."))
            seen.add(value)
    return found


def default() -> RackSpec:
    """A rack with one machine of each kind of firmware."""
    return build(
        {
            "name": "rack",
            "machines": [
                {"name": "bios1", "firmware": "bios"},
                {"name": "uefi1", "firmware": "uefi"},
                {"name": "secure1", "firmware": "secureboot", "nic_rom": "firmware"},
            ],
        }
    )
