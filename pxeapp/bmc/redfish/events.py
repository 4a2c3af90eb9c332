"""The event log over Redfish: which of a service's logs it is, its entries page by page, and emptying it."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pxeapp.bmc.readings import EventLog, Health, LogEntry, one_line

Get = Callable[[str], dict[str, Any]]
MOST_ENTRIES = 2000
MOST_PAGES = 40
SEVERITY: dict[str, Health] = {"OK": "ok", "Warning": "warning", "Critical": "critical"}
# By what vendors call the log of the hardware's events; what stands first is taken first.
NAMES = ("sel", "eventlog", "iml", "iel", "event", "log1", "log")


class NoLog(Exception):
    """The service has no event log, or none that can be emptied."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log of a service that offers one."""

    get: Get
    service: dict[str, Any]

    def read(self) -> EventLog:
        """All of it, the oldest first."""
        entries = sorted((_entry(each) for each in self._members()), key=_order)
        most = self.service.get("MaxNumberOfRecords")
        overflowed = bool(self.service.get("OverWritePolicy") == "NeverOverWrites" and most and len(entries) >= most)
        return EventLog(tuple(entries), None, overflowed)

    def clear(self, post: Callable[..., object]) -> None:
        """Empty it; once."""
        action = ((self.service.get("Actions") or {}).get("#LogService.ClearLog") or {}).get("target")
        if not action:
            raise NoLog
        post(action, data={})

    def _members(self) -> Iterator[dict[str, Any]]:
        place: str | None = str((self.service.get("Entries") or {})["@odata.id"])
        count = 0
        for _page in range(MOST_PAGES):
            if place is None:
                return
            page = self.get(place)
            for member in page.get("Members") or []:
                if count >= MOST_ENTRIES:
                    return
                count += 1
                # DSP0266 allows a list of links; most services give whole entries.
                yield member if len(member) > 1 else self.get(str(member["@odata.id"]))
            following = page.get("Members@odata.nextLink") or page.get("@odata.nextLink")
            place = str(following) if following else None


def find(get: Get, system: dict[str, Any]) -> Log:
    """The system's event log, which some services keep with their manager. Raises NoLog."""
    owners = [system]
    owners += [get(str(each["@odata.id"])) for each in ((system.get("Links") or {}).get("ManagedBy") or [])[:2]]
    services: list[dict[str, Any]] = []
    for owner in owners:
        if not owner.get("LogServices"):
            continue
        members = get(str(owner["LogServices"]["@odata.id"])).get("Members") or []
        services += [get(str(member["@odata.id"])) for member in members]
    if not services:
        raise NoLog
    return Log(get, min(services, key=_rank))


def _rank(service: dict[str, Any]) -> tuple[bool, int]:
    name = str(service.get("Id") or "").lower()
    by_name = next((place for place, each in enumerate(NAMES) if each in name), len(NAMES))
    return service.get("LogEntryType") != "SEL", by_name


def _entry(said: dict[str, Any]) -> LogEntry:
    number = str(said.get("Id") or "0")
    message = one_line(said.get("Message") or said.get("Name") or "An event without a message", 300)
    created = str(said.get("Created") or "")
    # No 16 bytes as IPMI has them: a hash of what an entry says knows the same one again.
    raw = hashlib.sha256(f"{number}\0{created}\0{message}".encode()).digest()[:16]
    return LogEntry(
        raw=raw,
        record=int(number) if number.isdigit() and len(number) < 10 else 0,
        at=_moment(created),
        sensor=one_line(said.get("SensorType") or said.get("EntryType"), 100),
        event=message,
        severity=SEVERITY.get(str(said.get("Severity") or "OK"), "ok"),
        asserted="deassert" not in str(said.get("EntryCode") or "").lower(),
    )


def _order(entry: LogEntry) -> tuple[bool, dt.datetime, int]:
    return entry.at is not None, entry.at or dt.datetime.min.replace(tzinfo=dt.UTC), entry.record


def _moment(said: str) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(said)
    except ValueError:
        return None
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)
