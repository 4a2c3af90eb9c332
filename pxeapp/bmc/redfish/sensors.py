"""Sensors over Redfish: the Thermal and Power resources of the system's chassis, or the Sensors of newer services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pxeapp.bmc.readings import Health, Reading

Get = Callable[[str], dict[str, Any]]
MOST = 400  # sensors of one machine
MOST_SINGLE = 60  # where each one is a request of its own
HEALTH: dict[str, Health] = {"OK": "ok", "Warning": "warning", "Critical": "critical"}
# Redfish's names of thresholds, as IPMI and ours have them.
LIMITS = {
    "lower_warning": ("LowerThresholdNonCritical", "LowerCaution"),
    "lower_critical": ("LowerThresholdCritical", "LowerCritical"),
    "lower_failed": ("LowerThresholdFatal", "LowerFatal"),
    "upper_warning": ("UpperThresholdNonCritical", "UpperCaution"),
    "upper_critical": ("UpperThresholdCritical", "UpperCritical"),
    "upper_failed": ("UpperThresholdFatal", "UpperFatal"),
}
# List of the resource -> kind, the member that holds the value, and its unit; None: the reading names it.
THERMAL = (("Temperatures", "Temperature", "ReadingCelsius", "°C"), ("Fans", "Fan", "Reading", None))
POWER = (
    ("Voltages", "Voltage", "ReadingVolts", "V"),
    ("PowerControl", "Power", "PowerConsumedWatts", "W"),
    ("PowerSupplies", "Power Supply", "LastPowerOutputWatts", "W"),
)
UNITS = {"Cel": "°C", "%": "%", "Percent": "%", "RPM": "RPM", "{rev}/min": "RPM", "V": "V", "A": "A", "W": "W"}


def read(get: Get, system: dict[str, Any]) -> list[Reading]:
    """Every sensor of the chassis that the system is in; raises what `get` raises."""
    found: list[Reading] = []
    for link in ((system.get("Links") or {}).get("Chassis") or [])[:4]:
        chassis = get(str(link["@odata.id"]))
        old = [(name, table) for name, table in (("Thermal", THERMAL), ("Power", POWER)) if chassis.get(name)]
        for name, table in old:
            found += _listed(get(str(chassis[name]["@odata.id"])), table)
        if not old and chassis.get("Sensors"):
            found += _single(get, str(chassis["Sensors"]["@odata.id"]))
    return found[:MOST]


def _listed(resource: dict[str, Any], table: tuple[tuple[str, str, str, str | None], ...]) -> Iterator[Reading]:
    for members, kind, member, unit in table:
        for each in resource.get(members) or []:
            name = str(each.get("Name") or each.get("FanName") or each.get("MemberId") or kind)
            said = unit or UNITS.get(str(each.get("ReadingUnits") or each.get("Units") or ""), "RPM")
            if (reading := _reading(each, name, kind, each.get(member), said)) is not None:
                yield reading


def _single(get: Get, place: str) -> Iterator[Reading]:
    """Sensor resources of DSP0268, one by one: not every service expands a collection."""
    for member in (get(place).get("Members") or [])[:MOST_SINGLE]:
        said = member if "Reading" in member else get(str(member["@odata.id"]))
        unit = UNITS.get(str(said.get("ReadingUnits") or ""), str(said.get("ReadingUnits") or ""))
        limits = said.get("Thresholds") or {}
        flat = {name: value.get("Reading") for name, value in limits.items() if isinstance(value, dict)}
        kind = str(said.get("ReadingType") or "")
        name = str(said.get("Name") or said.get("Id") or "?")
        if (reading := _reading({**said, **flat}, name, kind, said.get("Reading"), unit)) is not None:
            yield reading


def _reading(said: dict[str, Any], name: str, kind: str, value: Any, unit: str) -> Reading | None:
    """None for a place where nothing is: an empty fan slot is no fault."""
    status = said.get("Status") or {}
    state = str(status.get("State") or "Enabled")
    if state == "Absent":
        return None
    known = HEALTH.get(str(status.get("Health") or "OK"), "ok")
    health: Health = known if state in ("Enabled", "StandbyOffline", "StandbySpare") else "unavailable"
    limits = {
        ours: float(found)
        for ours, theirs in LIMITS.items()
        if isinstance(found := next((said[each] for each in theirs if said.get(each) is not None), None), int | float)
    }
    return Reading(
        name=_line(name, 80), value=float(value) if isinstance(value, int | float) else None, unit=_line(unit, 20),
        healthy=health in ("ok", "unavailable"), kind=_line(kind, 40), health=health,
        states=() if state == "Enabled" else (_line(state, 40),), thresholds=limits,
    )  # fmt: skip


def _line(text: str, most: int) -> str:
    return "".join(char for char in text if char.isprintable())[:most]
