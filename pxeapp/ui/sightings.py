"""Seen but unknown: what netbooted here and is registered nowhere, and the form that makes machines of it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import ADMIN, allows, needed
from pxeapp.api.context import actor, context, site
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import Invalid
from pxeapp.machines import adopting
from pxeapp.machines.models import Network, Sighting
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import told
from pxeapp.ui.language import said

PAGE = 100
COMMON = ("role", "release", "network", "cluster", "rack", "bmc_type", "bmc_username")
EACH = ("name", "unit", "address", "bmc_address")
# Where the service names a field otherwise than the form does.
FIELD_OF = {
    "location": "unit",
    "location.rack": "rack",
    "location.unit": "unit",
    "interfaces.0": "address",
    "interfaces.0.network": "network",
    "interfaces.0.address": "address",
    "bmc": "bmc_address",
    "bmc.address": "bmc_address",
    "bmc.type": "bmc_type",
    "bmc.username": "bmc_username",
    "bmc.password": "bmc_password",
}


@bp.get("/sightings")
def sightings() -> ResponseReturnValue:
    """The list."""
    return render_template("sightings.html", **_view())


@bp.get("/sightings/part")
def sightings_part() -> ResponseReturnValue:
    """The part of it that changes."""
    return render_template("_sightings.html", **_view())


def _view() -> dict[str, Any]:
    search = request.args.get("search", "")[:100]
    offset = row_number(request.args.get("from", ""), most=10**6)
    with context().database.read() as session:
        found = adopting.latest(session, search, limit=PAGE + 1, offset=offset)
        return {
            "rows": found[:PAGE],
            "next": offset + PAGE if len(found) > PAGE else None,
            "offset": offset,
            "total": adopting.count(session, search),
            "search": search,
            "may_adopt": allows(actor().role, needed("ui.adopt") or ADMIN),
        }


@bp.get("/sightings/adopt")
def adopt_form() -> ResponseReturnValue:
    """The form for those that were ticked."""
    with context().database.read() as session:
        rows = adopting.of(session, request.args.getlist("mac")[:PAGE])
        if not rows:
            return redirect(url_for("ui.sightings"))
        return _form(session, rows, {}, None)


@bp.post("/sightings/adopt")
def adopt() -> ResponseReturnValue:
    """Register them, or show the form again with what is wrong at its field."""
    own = context()
    form = request.form
    wanted = form.getlist("mac")[:PAGE]
    try:
        with own.database.write() as session:
            items = [_item(mac) for mac in wanted]
            names = adopting.adopt(session, own.vault, site(session), items, actor=actor().label, now=now())
    except Invalid as error:
        with own.database.read() as session:
            rows = adopting.of(session, wanted)
            return _form(session, rows, form.to_dict(), error), error.status
    return redirect(url_for("ui.machines", search=names[0] if len(names) == 1 else "", state="enrolled"), 303)


def _form(session: Session, rows: list[Sighting], typed: dict[str, str], error: Invalid | None) -> str:
    common, each = _errors(error, [row.mac for row in rows] if error is None else request.form.getlist("mac"))
    found = site(session)
    return render_template(
        "adopt.html",
        rows=rows,
        typed={name: value for name, value in typed.items() if name != "bmc_password"},
        problem=said(error.sentence) if error else "",
        errors=common,
        errors_of=each,
        roles=sorted(found.roles),
        releases=sorted(found.releases),
        clusters=sorted(found.clusters),
        networks=session.scalars(select(Network.name).order_by(Network.name)).all(),
    )


def _item(mac: str) -> dict[str, Any]:
    """One machine of the form, as an import would have it: what is empty is left out."""
    typed = {name: request.form.get(name, "").strip() for name in (*COMMON, "bmc_password")}
    typed |= {name: request.form.get(f"{name}.{mac}", "").strip() for name in EACH}
    item: dict[str, Any] = {"mac": mac}
    item |= {name: typed[name] for name in ("name", "role", "release", "cluster") if typed[name]}
    place = {name: typed[name] for name in ("rack", "unit") if typed[name]}
    if place:
        item["location"] = {name: int(text) if _whole(name, text) else text for name, text in place.items()}
    if typed["network"] or typed["address"]:
        item["interfaces"] = [{"mac": mac, "network": typed["network"] or None, "address": typed["address"] or None}]
    if typed["bmc_address"]:
        item["bmc"] = {"type": typed["bmc_type"] or "ipmi", "address": typed["bmc_address"],
                       "username": typed["bmc_username"], "password": typed["bmc_password"] or None}  # fmt: skip
    return item


def _whole(name: str, text: str) -> bool:
    return name == "unit" and text.isascii() and text.isdigit() and len(text) < 5


def _errors(error: Invalid | None, macs: list[str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """What is wrong, by field: of all of them (what the form asks once) and of each."""
    common: dict[str, str] = {}
    each: dict[str, dict[str, str]] = defaultdict(dict)
    for problem in error.problems if error else ():
        name = FIELD_OF.get(problem.field, problem.field)
        sentence = told(problem)
        if name in COMMON or name == "bmc_password":
            common.setdefault(name, sentence)
        elif problem.row and problem.row <= len(macs):
            each[macs[problem.row - 1]].setdefault(name if name in EACH else "name", sentence)
        else:
            common.setdefault("form", sentence)
    return common, each
