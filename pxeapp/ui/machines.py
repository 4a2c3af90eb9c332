"""The list of machines: narrowed by a query, sorted by a column, live; what is done with many begins here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from pxeapp.accounts import choices
from pxeapp.accounts.permissions import OPERATOR, allows
from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import Invalid
from pxeapp.machines import columns as known_columns
from pxeapp.machines import projects, query, saved_filters, selectors
from pxeapp.machines.columns import Column
from pxeapp.machines.lifecycle import FAILED, TRANSITIONAL, State
from pxeapp.machines.models import Cluster, Machine, Network, SavedFilter
from pxeapp.machines.query import Term
from pxeapp.machines.selectors import Filter
from pxeapp.provisioning import activity, explain, steps
from pxeapp.provisioning.models import Deployment
from pxeapp.software.models import Release
from pxeapp.ui.blueprint import ago, bp, span
from pxeapp.ui.bulk import choices_for
from pxeapp.ui.language import N_, _, said

PAGE = 50  # as a screen shows; each row costs the browser a millisecond before anything is seen
# The order in which states are looked at: what failed, what moves, what waits, what works.
GROUPS: tuple[frozenset[str], ...] = (FAILED, TRANSITIONAL, frozenset({State.ENROLLED, State.MANAGEABLE}))
COLUMN_CHOICE = "machines.columns"
DOING = "doing"  # what happens to a machine: only a page can show it
# What a column's head says; the order is the page's.
LABELS: dict[str, str] = {
    "name": N_("Machine"), "state": N_("State"), "power": N_("Power"), "role": N_("Role"), "release": N_("Release"),
    "cluster": N_("Cluster"), "project": N_("Project"), "location.site": N_("Site"),
    "location.room": N_("Room"), "location.rack": N_("Rack"),
    "location.unit": N_("Height unit"), "addresses": N_("Addresses"), "networks": N_("Networks"),
    "bmc.type": N_("BMC type"), "bmc.address": N_("BMC address"), "mac": N_("Boot MAC"), "serial": N_("Serial number"),
    "uuid": "UUID", "all_disks": N_("Disks"), "all_labels": N_("Labels"), "fault": N_("Fault"),
    "maintenance": N_("Maintenance"), "maintenance_reason": N_("Reason of maintenance"), "locked": N_("Locked"),
    DOING: N_("What is happening"), "updated_at": N_("Changed"), "created_at": N_("Registered"),
}  # fmt: skip
FIRST = ("name", "state", "power", "role", "release", "location.rack", DOING)
# Fields of the form beside the query, which become words of it.
FIELDS = ("state", "role", "release", "cluster", "project", "power", "rack", "network", "label", "search")


@dataclass(frozen=True, slots=True)
class Row:
    """A machine and what is happening to it."""

    machine: Machine
    deployment: Deployment | None
    now: dt.datetime

    @property
    def running(self) -> Deployment | None:
        """The deployment that is under way."""
        return self.deployment if self.deployment is not None and self.deployment.outcome is None else None

    @property
    def done(self) -> int:
        """How many of the steps are behind it, in percent."""
        return steps.percent(self.running.step) if self.running is not None else 0

    @property
    def elapsed(self) -> dt.timedelta | None:
        """How long its deployment has been running."""
        return self.now - self.running.requested_at if self.running is not None else None

    @property
    def word(self) -> str:
        """The last thing that was seen of it, or what it waits for."""
        if self.machine.fault:
            return said(self.machine.fault)
        if self.running is not None:
            if last := activity.last_word(self.running):
                return said(last)
            return _("Next: %(what)s", what=said(explain.expected(self.running)))
        if self.machine.maintenance:
            return self.machine.maintenance_reason or _("In maintenance.")
        if self.machine.state == State.ACTIVE and self.deployment is not None and self.deployment.finished_at:
            took = span(self.deployment.finished_at - self.deployment.requested_at)
            return _("Came up %(when)s, after %(took)s.", when=ago(self.deployment.finished_at), took=took)
        return ""


@dataclass(frozen=True, slots=True)
class Chip:
    """One word of the query, and the list without it."""

    text: str
    without: str


@dataclass(frozen=True, slots=True)
class Head:
    """One column of the page."""

    name: str
    label: str
    sort: str = ""
    column: Column | None = None

    def text(self, row: Row) -> str:
        """What it says of a machine."""
        return self.column.value(row.machine) if self.column is not None else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. `problem` is why the query cannot be understood; then nothing is listed."""

    q: str
    sort: str
    after: str
    columns: str
    terms: tuple[Term, ...] = ()
    problem: str = ""

    def link(self, endpoint: str = "ui.machines", **other: str) -> str:
        """The same list with something else."""
        values: dict[str, Any] = {"q": self.q, "sort": self.sort, "after": "", "columns": self.columns, **other}
        return url_for(endpoint, **{name: value for name, value in values.items() if value})


@bp.get("/machines")
def machines() -> ResponseReturnValue:
    """All machines."""
    return render_template("machines.html", **list_view(whole=True))


@bp.get("/machines-table")
def machines_table() -> ResponseReturnValue:
    """The part of the list that changes."""
    return render_template("_machines.html", **list_view(whole=False))


def asked() -> Asked:
    """What the address says, with the fields of the form as words of the query."""
    values = {
        name: request.values.get(name, "")[: query.LONGEST] for name in ("q", "sort", "after", "columns", *FIELDS)
    }
    others: dict[str, Any] = {name: values[name] for name in ("sort", "after", "columns")}
    try:
        whole = selectors.as_query(Filter(q=values["q"], **{name: values[name] for name in FIELDS}))
        return Asked(whole, terms=query.parse(whole), **others)
    except Invalid as error:
        found = error.problems[0]
        return Asked(values["q"], problem=f"{said(found.problem)} {said(found.fix)}", **others)


def list_view(*, whole: bool) -> dict[str, Any]:
    """What the page shows; `whole`: with what stands around the list."""
    wanted = asked()
    moment = now()
    with context().database.read() as session:
        heads = [_head(name) for name in _columns(session, wanted)]
        rows, following, found = _listed(session, wanted, heads, moment)
        counts = selectors.counts(session)
        view = {
            "asked": wanted,
            "heads": heads,
            "rows": rows,
            "next": following,
            "found": found,
            "states": sorted(counts.items(), key=_by_urgency),
            "total": sum(counts.values()),
            "chosen": {
                value for term in wanted.terms if term.key == "state" and not term.negated for value in term.values
            },
            "chips": _chips(wanted.terms),
            "actions": choices_for(actor()),
        }
        if whole:
            view.update(_around(session, heads))
        return view


def _listed(
    session: Session, wanted: Asked, heads: Sequence[Head], moment: dt.datetime
) -> tuple[list[Row], str | None, int]:
    """The rows of the page, where the next begins, and how many there are in all."""
    if wanted.problem:
        return [], None, 0
    narrowed = Filter(q=wanted.q)
    sort = wanted.sort if wanted.sort.removeprefix("-") in selectors.SORTS else "name"
    try:
        rows, following = selectors.page(session, narrowed, after=wanted.after, limit=PAGE, whole=False, sort=sort)
    except Invalid:  # an address that somebody kept from another order: the beginning is better than a refusal
        rows, following = selectors.page(session, narrowed, limit=PAGE, whole=False, sort=sort)
    _load(session, rows, {head.name for head in heads})
    return _rows(session, rows, moment), following, selectors.count(session, narrowed) if wanted.terms else 0


def _load(session: Session, rows: Sequence[Machine], shown: set[str]) -> None:
    """Cards, BMCs and disks, where a column shows them: one query each, however many machines."""
    parts = (
        (Machine.interfaces, {"addresses", "networks"}),
        (Machine.bmc, {"bmc.type", "bmc.address"}),
        (Machine.disks, {"all_disks"}),
    )
    options = [selectinload(part) for part, columns in parts if columns & shown]
    if options and rows:
        again = select(Machine).where(Machine.id.in_([row.id for row in rows])).options(*options)
        session.scalars(again.execution_options(populate_existing=True)).all()


def _rows(session: Session, machines: Sequence[Machine], moment: dt.datetime) -> list[Row]:
    """Each machine with its last deployment; two queries, however many there are."""
    wanted = (
        select(func.max(Deployment.id))
        .where(Deployment.machine_id.in_([row.id for row in machines]))
        .group_by(Deployment.machine_id)
    )
    found = session.scalars(select(Deployment).where(Deployment.id.in_(wanted)))
    latest = {row.machine_id: row for row in found}
    return [Row(row, latest.get(row.id), moment) for row in machines]


def _columns(session: Session, wanted: Asked) -> list[str]:
    """Those of the address, else of a choice made earlier, else ours. The machine's name is always there."""
    named = wanted.columns.split(",") if wanted.columns else choices.get(session, actor(), COLUMN_CHOICE)
    known = [name for name in named or FIRST if name == DOING or known_columns.column(name) is not None]
    return ["name", *(name for name in dict.fromkeys(known) if name != "name")][: known_columns.MOST]


def _head(name: str) -> Head:
    column = known_columns.column(name)
    label = LABELS.get(name, name.removeprefix("labels."))
    return Head(name, label, column.sort if column else "", column)


def _chips(terms: tuple[Term, ...]) -> list[Chip]:
    return [Chip(str(term), query.written((*terms[:place], *terms[place + 1 :]))) for place, term in enumerate(terms)]


def _around(session: Session, heads: Sequence[Head]) -> dict[str, Any]:
    """What stands around the list and does not change by itself."""
    saved = saved_filters.listing(session, actor())
    shown = {head.name for head in heads}
    racks = select(Machine.rack).where(Machine.rack.is_not(None)).distinct().order_by(Machine.rack).limit(500)
    return {
        "saved": saved,
        "may_share": allows(actor().role, OPERATOR),
        "may_delete": [row.id for row in saved if _may_delete(row)],
        "columns": [(name, label, name in shown) for name, label in LABELS.items() if name != "name"],
        "label_columns": ", ".join(
            head.name.removeprefix("labels.") for head in heads if head.name.startswith("labels.")
        ),
        "keys": list(query.KEYS.items()),
        "facets": {
            "state": [*query.KINDS, *(state.value for state in State)],
            "role": session.scalars(select(Role.name).order_by(Role.name)).all(),
            "release": session.scalars(select(Release.name).order_by(Release.name)).all(),
            "cluster": session.scalars(select(Cluster.name).order_by(Cluster.name)).all(),
            "project": projects.known(session),
            "rack": session.scalars(racks).all(),
            "network": session.scalars(select(Network.name).order_by(Network.name)).all(),
        },
    }


def _may_delete(row: SavedFilter) -> bool:
    return row.user_id is not None or allows(actor().role, OPERATOR)


def _by_urgency(item: tuple[str, int]) -> tuple[int, str]:
    name, _number = item
    return next((place for place, group in enumerate(GROUPS) if name in group), len(GROUPS)), name
