"""One machine, added by hand: checked as everywhere; each problem stands at its field, and what was typed stays."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError
from sqlalchemy import select

from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context, site
from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid
from pxeapp.machines import projects, service, wire
from pxeapp.machines.models import Cluster, Network
from pxeapp.machines.wire import MachineIn
from pxeapp.software.models import Release
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import placed

PLAIN = ("name", "mac", "serial", "uuid", "role", "release", "cluster", "project")
PLACE = ("site", "room", "rack", "unit")
BMC = ("type", "address", "port", "username", "password", "cipher_suite")
FIELDS = (
    *PLAIN, *(f"location.{name}" for name in PLACE), *(f"bmc.{name}" for name in BMC),
    "interfaces.0.name", "interfaces.0.network", "interfaces.0.address", "disks.system", "labels",
)  # fmt: skip


@bp.get("/machines/new")
def new_machine() -> ResponseReturnValue:
    """An empty form; a MAC that was seen on the wire may stand in the address."""
    return _page({name: request.args.get(name, "")[:255] for name in FIELDS}, {}, "")


@bp.post("/machines/new")
def add_machine() -> ResponseReturnValue:
    """Register it, and show it."""
    form = {name: request.form.get(name, "").strip() for name in FIELDS}
    try:
        try:
            said_so = MachineIn.model_validate(_machine(form))
        except ValidationError as error:
            raise Invalid("The machine cannot be saved.", problems=wire.problems(error)) from None
        with context().database.write() as session:
            row = service.create(session, context().vault, site(session), said_so, actor=actor().label, now=now())
            name = row.name
    except (Conflict, Invalid) as error:
        return _page(form, *placed(error, FIELDS)), HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(url_for("ui.machine_page", key=name), 303)


def _machine(form: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, in the form in which machines come in anywhere else."""
    found: dict[str, Any] = {name: form[name] for name in PLAIN if form[name]}
    found["location"] = {name: value for name in PLACE if (value := form[f"location.{name}"])}
    found["labels"] = _labels(form["labels"])
    bmc = {name: value for name in BMC if (value := form[f"bmc.{name}"])}
    if bmc.get("address"):
        found["bmc"] = bmc
    card = {name: value for name in ("name", "network", "address") if (value := form[f"interfaces.0.{name}"])}
    if card:
        found["interfaces"] = [{"mac": form["mac"], **card}]
    if form["disks.system"]:
        found["disks"] = {"system": form["disks.system"]}
    return found


def _labels(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if line.strip())
    return {key.strip(): value.strip() for key, _sign, value in pairs}


def _page(form: Mapping[str, str], errors: Mapping[str, str], problem: str) -> str:
    with context().database.read() as session:
        names = {
            kind.__tablename__: session.scalars(select(kind.name).order_by(kind.name)).all()
            for kind in (Role, Release, Cluster, Network)
        }
        names["projects"] = projects.known(session)
    return render_template("machine_form.html", form=form, errors=errors, problem=problem, **names)
