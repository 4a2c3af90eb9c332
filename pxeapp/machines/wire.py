"""A machine on the wire: what comes in, checked field by field, and what goes out. A password never goes out."""

from __future__ import annotations

import math
import re
import uuid as uuids
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal

from netaddr import AddrFormatError, IPAddress
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from pxeapp.accounts.limits import PROJECT, PROJECT_FIX
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import mac as macs
from pxeapp.machines import sealed
from pxeapp.machines.disks import LARGEST, PURPOSES, KnownDisk, disk_bytes
from pxeapp.machines.models import Bmc, Disk, Interface, Machine

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
DISK_PATH = r"^(disk/by-(path|id)/[A-Za-z0-9._:+*?-]+|[a-z0-9]{2,32})$"
DISK_NUMBER = r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}$"
DISK_MODEL = r"^[A-Za-z0-9][A-Za-z0-9 ._:/+()&,-]{0,99}$"
LEAST_DISK = 10**6  # bytes; whoever writes 480 means 480G
ADDRESS = r"^[A-Za-z0-9._:-]+$"
_PATH = re.compile(DISK_PATH)
MOST_PATH = 255
CARD = r"^[A-Za-z0-9._-]{1,15}$"
DEFAULT_PORTS = {"ipmi": 623, "redfish": 443, "fake": 623}


VARS_DEPTH = 20
SHOWN_OF_DISK = ("path", "serial", "wwn", "model", "size", "rotational")
SHOWN = 60  # of a value that is refused


class _Unfit(ValueError):
    """What is wrong with a value and how to mend it, through pydantic and back."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.problem = problem
        self.fix = fix


def _mac(value: Any) -> str:
    try:
        return macs.normalise(str(value))
    except Invalid as error:
        raise _Unfit(error.sentence, error.hint) from None


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(IPAddress(value))
    except (AddrFormatError, ValueError):
        raise _Unfit(f"{value[:SHOWN]!r} is not an IP address.", "Write it as 10.0.0.7.") from None


def _uuid(value: Any) -> str | None:
    if value in (None, ""):
        return None
    try:
        return str(uuids.UUID(str(value)))
    except ValueError:
        fix = "Write it as 4c4c4544-0051-3010-8052-b4c04f4e4d32."
        raise _Unfit(f"{str(value)[:SHOWN]!r} is not a UUID.", fix) from None


def _one_line(value: str) -> str:
    """Values land in boot scripts, answer files and terminals; none of them may hold a line break."""
    if not value.isprintable():
        raise _Unfit("holds a line break or a control character.", "Take it out.")
    return value


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not LABEL.fullmatch(key) or not text.isprintable() or len(text) > 255:
            fix = "Use letters, digits and ._/- in its name and one line of at most 255 characters as its value."
            raise _Unfit(f"{key[:SHOWN]!r} is not a label.", fix)
    return value


def _cards(value: list[InterfaceIn]) -> list[InterfaceIn]:
    addresses = [card.mac for card in value]
    twice = next((each for each in addresses if addresses.count(each) > 1), None)
    if twice:
        raise _Unfit(f"name {twice} twice.", "Each card has a MAC of its own.")
    return value


def _disk(value: Any) -> Any:
    """A text is a path."""
    return _path_alone(value) if isinstance(value, str) else value


@lru_cache(maxsize=4096)
def _path_alone(text: str) -> PathAlone:
    """Shared by all machines that say it, for they are of few makes; nobody changes it."""
    path = text.strip()
    if len(path) > MOST_PATH or not _PATH.fullmatch(path):
        raise _Unfit(f"{text[:SHOWN]!r} is not possible here.", PATTERN_FIXES[DISK_PATH])
    return PathAlone.model_construct({"path"}, path=path)


def _disk_size(value: Any) -> int | None:
    """Bytes; what is given in words of a label is what the label means."""
    if value is None:
        return None
    said = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    size = disk_bytes(said) if len(said) < SHOWN else None
    if size is None or not LEAST_DISK <= size <= LARGEST:
        raise _Unfit(f"{str(value)[:SHOWN]!r} is not a disk's size.", "Write 480G, 3.84T, or its bytes.")
    return size


def _each_once(value: DisksIn) -> DisksIn:
    """Two entries with one path, serial or WWN are one disk, and it cannot be there for two purposes."""
    disks = [*([value.system] if value.system else []), *value.data, *value.keep, *value.free]
    only_paths = all(type(disk) is PathAlone for disk in disks)
    for name in ("path",) if only_paths else ("path", "serial", "wwn"):
        said = [text.lower().removeprefix("0x") for disk in disks if (text := getattr(disk, name))]
        if len(set(said)) < len(said):
            twice = next(text for text in said if said.count(text) > 1)
            raise _Unfit(f"name the {name} {twice} twice.", "Name each disk once.")
    return value


def _place(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Unfit("is neither a text nor a number.", "Write it as R12 or 7.")
    return _one_line(value) if isinstance(value, str) else value


def _vars(value: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON that every database keeps and every template can write."""
    _refuse_unkeepable(value, 1)
    return value


def _refuse_unkeepable(value: Any, depth: int) -> None:
    if depth > VARS_DEPTH:
        raise _Unfit(f"are nested more than {VARS_DEPTH} deep.", "Make them flatter.")
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == sealed.KEY:
                raise _Unfit(
                    f"hold {key}, which is ours.", "Write the secret itself; it is encrypted when it is saved."
                )
            _refuse_unkeepable(key, depth)
            _refuse_unkeepable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unkeepable(inner, depth + 1)
    elif isinstance(value, str):
        # A lone surrogate cannot be written as UTF-8, and PostgreSQL keeps no NUL.
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _Unfit(f"hold {value[:SHOWN]!r}, which is not text.", "Take the character out.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _Unfit(f"hold {value}, which JSON does not know.", "Leave it out.")
    elif value is not None and not isinstance(value, bool | int):
        raise _Unfit(f"hold a {type(value).__name__}.", "Use texts, numbers, true, false, null, lists and objects.")


Mac = Annotated[str, BeforeValidator(_mac)]
Address = Annotated[str | None, AfterValidator(_address)]
Short = Annotated[str, Field(max_length=63), AfterValidator(_one_line)]
Text = Annotated[str, Field(max_length=100), AfterValidator(_one_line)]
Long = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
DiskPath = Annotated[str, Field(pattern=DISK_PATH, max_length=MOST_PATH)]
DiskNumber = Annotated[str, Field(pattern=DISK_NUMBER)]
Place = Annotated[str | int, BeforeValidator(_place)]
Name = Annotated[str, Field(pattern=NAME, description="A DNS label; it becomes the host name.")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class BmcIn(_In):
    """How its BMC is reached. `password` is write-only."""

    type: Literal["ipmi", "redfish", "fake"] = "ipmi"
    address: Annotated[str, Field(min_length=1, max_length=255, pattern=ADDRESS)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    username: Text = ""
    password: Annotated[str, Field(max_length=255), AfterValidator(_one_line)] | None = None
    cipher_suite: Annotated[int, Field(ge=0, le=17)] | None = None
    certificate: Annotated[
        str | None,
        Field(pattern=r"^[0-9a-f]{64}$", description="Redfish: SHA-256 of its certificate; null: the next one seen."),
    ] = None

    @model_validator(mode="after")
    def _known_port(self) -> BmcIn:
        if self.port is None:
            self.port = DEFAULT_PORTS[self.type]
        return self


class InterfaceIn(_In):
    """A network card."""

    mac: Mac
    name: Annotated[str, Field(pattern=CARD)] | None = None
    network: str | None = None
    address: Address = None


class DiskIn(_In):
    """A disk and what is known of it, as `lsblk -o SERIAL,WWN,MODEL,SIZE,ROTA` shows it."""

    path: DiskPath
    serial: DiskNumber | None = None
    wwn: DiskNumber | None = None
    model: Annotated[str, Field(pattern=DISK_MODEL)] | None = None
    size: Annotated[int | None, BeforeValidator(_disk_size, json_schema_input_type=str | int | None)] = None
    rotational: bool | None = None

    @model_serializer(mode="wrap")
    def _as_said(self, dump: SerializerFunctionWrapHandler) -> Any:
        """A path alone stays one when a change is made whole and read again."""
        return self.path if isinstance(self, PathAlone) else dump(self)

    def known(self, purpose: str, before: KnownDisk | None) -> KnownDisk:
        """All that is known of it now; `before`: what was."""
        del before  # an object says it all
        return KnownDisk(self.path, purpose, self.serial, self.size, self.wwn, self.model, self.rotational)


class PathAlone(DiskIn):
    """A disk of which only the path is said: what is known of it besides stays known."""

    def known(self, purpose: str, before: KnownDisk | None) -> KnownDisk:
        """All that is known of it now."""
        return super().known(purpose, None) if before is None else before._replace(purpose=purpose)


DiskSaid = Annotated[DiskIn, BeforeValidator(_disk, json_schema_input_type=str | DiskIn)]
Disks = Annotated[list[DiskSaid], Field(max_length=1000)]


class DisksIn(_In):
    """Disks by stable path, or as objects with more: where the system goes, what is data, what is never touched.

    `free` are those that are none of it, and that a layout may mean.
    """

    system: DiskSaid | None = None
    data: Disks = Field(default_factory=list)
    keep: Disks = Field(default_factory=list)
    free: Disks = Field(default_factory=list)

    def each(self) -> Iterator[tuple[str, DiskIn]]:
        """Every one with its purpose."""
        for purpose in PURPOSES:
            said = getattr(self, purpose)
            for disk in said if isinstance(said, list) else [said] if said else []:
                yield purpose, disk

    def known(self, present: Iterable[KnownDisk]) -> list[KnownDisk]:
        """All that is known of them; `present`: what was known before."""
        before = {disk.path: disk for disk in present}
        return [disk.known(purpose, before.get(disk.path)) for purpose, disk in self.each()]


class MachineChange(_In):
    """What can be changed of a machine; what is left out stays."""

    name: Name | None = None
    mac: Mac | None = None
    serial: Text | None = None
    uuid: Annotated[str | None, BeforeValidator(_uuid)] = None
    role: Short | None = None
    release: Short | None = None
    cluster: Short | None = None
    project: Annotated[str, Field(pattern=PROJECT)] | None = None
    bmc: BmcIn | None = None
    interfaces: Annotated[list[InterfaceIn], Field(max_length=64), AfterValidator(_cards)] | None = None
    disks: Annotated[DisksIn, AfterValidator(_each_once)] | None = None
    labels: Annotated[dict[str, str], AfterValidator(_labels)] | None = None
    vars: Annotated[dict[str, Any], AfterValidator(_vars)] | None = None
    location: dict[Short, Place] | None = None
    maintenance: bool | None = None
    maintenance_reason: Long | None = None
    locked: bool | None = None

    @field_validator("name", "mac", mode="before")
    @classmethod
    def _never_taken_away(cls, value: Any) -> Any:
        if value is None:
            raise _Unfit("cannot be empty.", "Give a new one or leave the field out.")
        return value


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
        "cluster": row.cluster,
        "project": row.project,
        "bmc": _bmc(row.bmc),
        "interfaces": [_interface(card) for card in row.interfaces],
        "disks": _disks(row.disks),
        "labels": row.labels,
        "vars": sealed.shown(row.vars),
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
        "certificate": row.certificate or None,
    }


def _interface(row: Interface) -> dict[str, Any]:
    return {"mac": row.mac, "name": row.name, "network": row.network, "address": row.address}


def _disks(rows: list[Disk]) -> dict[str, Any]:
    found: dict[str, Any] = {"system": None, "data": [], "keep": []}
    for row in rows:
        if row.purpose == "system":
            found["system"] = found["system"] or _shown(row.known)
        else:
            found.setdefault(row.purpose, []).append(_shown(row.known))
    return found


def _shown(disk: KnownDisk) -> str | dict[str, Any]:
    """Its path alone where nothing else is known."""
    said = {name: value for name in SHOWN_OF_DISK if (value := getattr(disk, name)) is not None}
    return disk.path if len(said) == 1 else said


def problems(error: Any, *, line: int | None = None, row: int | None = None) -> list[FieldProblem]:
    """pydantic's findings in our words: field, problem, fix."""
    found = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "machine"
        found.append(FieldProblem(field, *_in_words(item), line=line, row=row))
    return found


def _in_words(item: dict[str, Any]) -> tuple[str, str]:
    kind, context = item["type"], item.get("ctx", {})
    if kind in WORDS:
        return WORDS[kind]
    if isinstance(unfit := context.get("error"), _Unfit):
        return unfit.problem, unfit.fix
    if kind == "string_pattern_mismatch":
        return f"{str(item['input'])[:SHOWN]!r} is not possible here.", PATTERN_FIXES.get(context["pattern"], "")
    if kind == "literal_error":
        return "is not possible here.", f"Use {context['expected']}."
    if kind == "too_long" and item["loc"][-1] == "interfaces":
        return "are too many.", f"Give at most {context['max_length']}."
    if kind in ("string_too_long", "too_long"):
        return "is too long.", f"Use at most {context['max_length']} characters."
    if kind in ("less_than_equal", "greater_than_equal"):
        limit = f"at most {context['le']}" if "le" in context else f"at least {context['ge']}"
        return "is out of range.", f"Use {limit}."
    return f"{str(item['msg']).removeprefix('Value error, ').removesuffix('.')}.", "Correct it or leave it out."


_TEXT = ("must be a text.", "Put it in quotes.")
_NUMBER = ("must be a whole number.", "Write only digits.")
_OBJECT = ("must be an object with fields of its own.", "See the field in /api/v1/openapi.json.")
WORDS = {
    "extra_forbidden": ("is not a known field.", "Check its spelling or leave it out."),
    "missing": ("is missing.", "Add it."),
    "string_type": _TEXT,
    "string_unicode": ("holds a character that is not text.", "Take it out."),
    "string_too_short": ("is empty.", "Fill it in or leave it out."),
    "int_parsing": _NUMBER,
    "int_parsing_size": _NUMBER,
    "int_type": _NUMBER,
    "int_from_float": _NUMBER,
    "bool_parsing": ("must be true or false.", "Write true or false."),
    "bool_type": ("must be true or false.", "Write true or false."),
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "list_type": ("must be a list.", "Put it in [ ]."),
}
PATTERN_FIXES = {
    PROJECT: PROJECT_FIX,
    NAME: "Use a-z, 0-9 and dashes, at most 63 characters.",
    DISK_NUMBER: "Write it as lsblk shows it: letters, digits and ._:+-, at most 100.",
    DISK_MODEL: "Write it as lsblk -o MODEL shows it: letters, digits, spaces and ._:/+()&,-, at most 100.",
    DISK_PATH: "Write a stable path such as disk/by-path/pci-0000:00:1f.2-ata-1, or a name such as sda.",
    ADDRESS: "Write an IP address or a host name.",
    CARD: "Write the card's name as Linux does, for example eno1.",
}
