"""A machine on the wire: what comes in, checked field by field, and what goes out. A password never goes out."""

from __future__ import annotations

import re
import uuid as uuids
from typing import Annotated, Any, Literal

from netaddr import AddrFormatError, IPAddress
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import mac as macs
from pxeapp.machines.models import Bmc, Disk, Interface, Machine

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
DISK_PATH = r"^(disk/by-(path|id)/[A-Za-z0-9._:+*?-]+|[a-z0-9]{2,32})$"
DEFAULT_PORTS = {"ipmi": 623, "redfish": 443, "fake": 623}


def _mac(value: Any) -> str:
    try:
        return macs.normalise(str(value))
    except Invalid as error:
        raise ValueError(f"{error.sentence} {error.hint}") from None


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(IPAddress(value))
    except (AddrFormatError, ValueError):
        raise ValueError(f"{value!r} is not an IP address. Write it as 10.0.0.7.") from None


def _uuid(value: Any) -> str | None:
    if value in (None, ""):
        return None
    try:
        return str(uuids.UUID(str(value)))
    except ValueError:
        raise ValueError(f"{value!r} is not a UUID.") from None


def _one_line(value: str | None) -> str | None:
    """Values land in boot scripts, answer files and terminals; none of them may hold a line break."""
    if value is not None and not value.isprintable():
        raise ValueError("holds a line break or a control character. Take it out.")
    return value


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not LABEL.fullmatch(key) or not text.isprintable() or len(text) > 255:
            raise ValueError(f"{key!r} is not a label. Use letters, digits and ._/- and a value on one line.")
    return value


Mac = Annotated[str, BeforeValidator(_mac)]
Address = Annotated[str | None, AfterValidator(_address)]
OneLine = Annotated[str | None, AfterValidator(_one_line)]
Name = Annotated[str, Field(pattern=NAME, description="A DNS label; it becomes the host name.")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class BmcIn(_In):
    """How its BMC is reached. `password` is write-only."""

    type: Literal["ipmi", "redfish", "fake"] = "ipmi"
    address: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:-]+$")]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    username: Annotated[OneLine, Field(max_length=100)] = ""
    password: Annotated[OneLine, Field(max_length=255)] = None
    cipher_suite: Annotated[int, Field(ge=0, le=17)] | None = None

    @model_validator(mode="after")
    def _known_port(self) -> BmcIn:
        if self.port is None:
            self.port = DEFAULT_PORTS[self.type]
        return self


class InterfaceIn(_In):
    """A network card."""

    mac: Mac
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,15}$")] | None = None
    network: str | None = None
    address: Address = None


class DisksIn(_In):
    """Disks by stable path: where the system goes, what is data, what is never touched."""

    system: Annotated[str, Field(pattern=DISK_PATH)] | None = None
    data: list[Annotated[str, Field(pattern=DISK_PATH)]] = []
    keep: list[Annotated[str, Field(pattern=DISK_PATH)]] = []


class MachineChange(_In):
    """What can be changed of a machine; what is left out stays."""

    name: Name | None = None
    mac: Mac | None = None
    serial: Annotated[OneLine, Field(max_length=100)] = None
    uuid: Annotated[str | None, BeforeValidator(_uuid)] = None
    role: Annotated[OneLine, Field(max_length=63)] = None
    release: Annotated[OneLine, Field(max_length=63)] = None
    bmc: BmcIn | None = None
    interfaces: list[InterfaceIn] | None = None
    disks: DisksIn | None = None
    labels: Annotated[dict[str, str], AfterValidator(_labels)] | None = None
    vars: dict[str, Any] | None = None
    location: dict[str, str | int] | None = None
    maintenance: bool | None = None
    maintenance_reason: Annotated[OneLine, Field(max_length=500)] = None
    locked: bool | None = None


class MachineIn(MachineChange):
    """A new machine: its name and the MAC it boots from are needed, the rest can follow."""

    name: Name
    mac: Mac


def machine(row: Machine) -> dict[str, Any]:
    """A machine as the API shows it."""
    return {
        "id": row.id,
        "name": row.name,
        "mac": row.mac,
        "serial": row.serial,
        "uuid": row.uuid,
        "state": row.state,
        "power": row.power,
        "power_seen_at": row.power_seen_at.isoformat() if row.power_seen_at else None,
        "role": row.role,
        "release": row.release,
        "bmc": _bmc(row.bmc),
        "interfaces": [_interface(card) for card in row.interfaces],
        "disks": _disks(row.disks),
        "labels": row.labels,
        "vars": row.vars,
        "location": row.location,
        "maintenance": row.maintenance,
        "maintenance_reason": row.maintenance_reason,
        "locked": row.locked,
        "fault": row.fault,
        "version": row.version,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def _bmc(row: Bmc | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "type": row.type,
        "address": row.address,
        "port": row.port,
        "username": row.username,
        "password_set": bool(row.password_encrypted),
        "cipher_suite": row.cipher_suite,
    }


def _interface(row: Interface) -> dict[str, Any]:
    return {"mac": row.mac, "name": row.name, "network": row.network, "address": row.address}


def _disks(rows: list[Disk]) -> dict[str, Any]:
    system = next((row.path for row in rows if row.purpose == "system"), None)
    return {
        "system": system,
        "data": [row.path for row in rows if row.purpose == "data"],
        "keep": [row.path for row in rows if row.purpose == "keep"],
    }


def problems(error: Any, *, line: int | None = None) -> list[FieldProblem]:
    """pydantic's findings in our words: field, problem, fix."""
    found = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "machine"
        found.append(FieldProblem(field, *_in_words(item), line=line))
    return found


def _in_words(item: dict[str, Any]) -> tuple[str, str]:
    kind = item["type"]
    if kind == "extra_forbidden":
        return "is not a known field.", "Check its spelling or leave it out."
    if kind == "missing":
        return "is missing.", "Add it."
    if kind == "string_pattern_mismatch":
        return f"{item['input']!r} is not possible here.", PATTERN_FIXES.get(item["ctx"]["pattern"], "")
    return str(item["msg"]).removeprefix("Value error, ") + ("" if str(item["msg"]).endswith(".") else "."), ""


PATTERN_FIXES = {
    NAME: "Use a-z, 0-9 and dashes, at most 63 characters.",
    DISK_PATH: "Write a stable path such as disk/by-path/pci-0000:00:1f.2-ata-1, or a name such as sda.",
}
