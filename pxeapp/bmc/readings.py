"""What a BMC can tell of itself, as plain values: sensors with thresholds and health, its event log, who it is."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Health = Literal["ok", "warning", "critical", "failed", "unavailable"]
Device = Literal["none", "network", "disk", "cdrom", "setup"]
DEVICES: tuple[Device, ...] = ("none", "network", "disk", "cdrom", "setup")
# Worse is later: what a machine's health is, is the worst of its sensors.
SEVERITY: tuple[Health, ...] = ("unavailable", "ok", "warning", "critical", "failed")


@dataclass(frozen=True, slots=True)
class Reading:
    """One sensor: value in the unit named, its thresholds by IPMI's names, and what the BMC says of its health."""

    name: str
    value: float | None
    unit: str
    healthy: bool
    kind: str = ""
    health: Health = "ok"
    states: tuple[str, ...] = ()
    thresholds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return {**asdict(self), "states": list(self.states)}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One record of the event log; `raw` is the whole of it, so that the same record is known again."""

    raw: bytes
    record: int
    at: dt.datetime | None
    sensor: str
    event: str
    severity: Health
    asserted: bool


@dataclass(frozen=True, slots=True)
class EventLog:
    """The whole log as it was read at one moment, and how full it is."""

    entries: tuple[LogEntry, ...]
    capacity_left: int | None  # bytes; None: the BMC does not say
    overflowed: bool  # it had to drop events


@dataclass(frozen=True, slots=True)
class Override:
    """What the next boot, or with `persistent` every boot, starts from; `none`: the firmware's own order."""

    device: Device
    persistent: bool = False
    uefi: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who made the BMC and what runs on it; empty where it does not say."""

    firmware: str = ""
    ipmi: str = ""
    manufacturer: str = ""
    product: str = ""
    serial: str = ""
    guid: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return asdict(self)


def worst(healths: list[Health]) -> Health | None:
    """The worst of several; None without any."""
    return max(healths, key=SEVERITY.index, default=None)


def one_line(said: object, most: int = 200) -> str:
    """What a BMC says, without what no page should show and at most so long; empty for None."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(said or "")).split())[:most]
