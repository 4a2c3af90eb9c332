"""What a list of machines can show, as a table: pages, saved filters and the CSV export name the same columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.models import Machine
from pxeapp.machines.query import LABEL_KEY

MOST = 30


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in exports, what it shows of a machine, and the order that its head sorts by, if any."""

    name: str
    value: Callable[[Machine], str]
    sort: str = ""


def _plain(name: str) -> Callable[[Machine], str]:
    return lambda row: str(getattr(row, name) or "")


def _place(name: str) -> Callable[[Machine], str]:
    return lambda row: str(row.location.get(name, ""))


def _yes(name: str) -> Callable[[Machine], str]:
    return lambda row: "yes" if getattr(row, name) else "no"


def _each(values: Iterable[str | None]) -> str:
    return " ".join(dict.fromkeys(filter(None, values)))


def _disks(row: Machine) -> str:
    return _each(f"{disk.purpose}:{disk.path}" for disk in row.disks)


# Named as an import names them, so that what was exported can be corrected and imported again.
COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("name", _plain("name"), "name"),
        Column("mac", _plain("mac"), "mac"),
        Column("state", _plain("state"), "state"),
        Column("power", _plain("power")),
        Column("role", _plain("role"), "role"),
        Column("release", _plain("release"), "release"),
        Column("cluster", _plain("cluster"), "cluster"),
        Column("project", _plain("project")),
        Column("location.site", _place("site")),
        Column("location.room", _place("room")),
        Column("location.rack", _place("rack"), "rack"),
        Column("location.unit", _place("unit")),
        Column("addresses", lambda row: _each(card.address for card in row.interfaces)),
        Column("networks", lambda row: _each(card.network for card in row.interfaces)),
        Column("bmc.type", lambda row: row.bmc.type if row.bmc else ""),
        Column("bmc.address", lambda row: row.bmc.address if row.bmc else ""),
        Column("serial", _plain("serial"), "serial"),
        Column("uuid", _plain("uuid")),
        Column("all_disks", _disks),
        Column("all_labels", lambda row: " ".join(f"{key}={value}" for key, value in sorted(row.labels.items()))),
        Column("fault", _plain("fault")),
        Column("maintenance", _yes("maintenance")),
        Column("maintenance_reason", _plain("maintenance_reason")),
        Column("locked", _yes("locked")),
        Column("updated_at", lambda row: row.updated_at.isoformat(timespec="seconds"), "updated"),
        Column("created_at", lambda row: row.created_at.isoformat(timespec="seconds")),
    )
}
EXPORTED = (
    "name", "mac", "state", "power", "role", "release", "cluster", "location.rack", "location.unit", "serial",
    "bmc.type", "bmc.address", "fault", "updated_at",
)  # fmt: skip
_LABEL = re.compile(rf"labels\.({LABEL_KEY.pattern})")


def column(name: str) -> Column | None:
    """The column of this name; `labels.KEY` is a label's. None: there is none."""
    if name in COLUMNS:
        return COLUMNS[name]
    if label := _LABEL.fullmatch(name):
        return Column(name, lambda row: row.labels.get(label[1], ""))
    return None


def chosen(names: Sequence[str], *, field: str = "columns") -> list[Column]:
    """The columns of these names, each once; raises Invalid with every name that is none."""
    found = {name: column(name) for name in dict.fromkeys(names)}
    fix = f"Use {', '.join(COLUMNS)} or labels.KEY."
    problems = [FieldProblem(field, f"{name[:60]!r} is no column.", fix) for name, it in found.items() if it is None]
    if len(found) > MOST:
        problems.append(FieldProblem(field, f"are {len(found)} columns.", f"Choose at most {MOST}."))
    if problems:
        raise Invalid("These columns cannot be shown.", problems=problems)
    return [it for it in found.values() if it is not None]
