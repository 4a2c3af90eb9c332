"""Editing a machine. What was not touched is not sent, so that nobody takes back what somebody else just changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError
from sqlalchemy import select

from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context, site
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.machines import projects, selectors, service, wire
from pxeapp.machines.models import Cluster
from pxeapp.machines.wire import MachineChange
from pxeapp.software.models import Release
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import placed

PLAIN = ("name", "mac", "serial", "uuid", "role", "release", "cluster", "project")
PLACE = ("site", "room", "rack", "unit")
BMC = ("type", "address", "port", "username", "cipher_suite", "certificate")
STRUCTURED = ("interfaces", "disks", "vars")  # as JSON: they have no fixed number of lines
PASSWORD = "bmc.password"  # noqa: S105 - the field's name
FIELDS = (*PLAIN, *(f"location.{name}" for name in PLACE), *(f"bmc.{name}" for name in BMC), "labels", *STRUCTURED)


@bp.get("/machines/<key>/edit")
def edit_machine(key: str) -> ResponseReturnValue:
    """The form, with what is kept now."""
    with context().database.read() as session:
        shown = wire.machine(selectors.get(session, key))
    return _page(shown, written(shown), {}, "")


@bp.post("/machines/<key>/edit")
def save_machine(key: str) -> ResponseReturnValue:
    """Save what was changed."""
    form = {name: request.form.get(name, "").strip() for name in (*FIELDS, "version")}
    with context().database.read() as session:
        shown = wire.machine(selectors.get(session, key))
    try:
        values = changed(shown, form, request.form.get(PASSWORD, ""))
        try:
            change = MachineChange.model_validate(values)
        except ValidationError as error:
            raise Invalid("The machine cannot be saved.", problems=wire.problems(error)) from None
        version = row_number(form["version"]) if form["version"] else None
        with context().database.write() as session:
            row = selectors.get(session, key, lock=True)
            service.change(
                session, context().vault, site(session), row, change, actor=actor().label, now=now(),
                expected_version=version,
            )  # fmt: skip
            name = row.name
    except PxeError as error:
        return _page(shown, form, *placed(error, (*FIELDS, PASSWORD))), HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(url_for("ui.machine_page", key=name, done="saved"), HTTPStatus.SEE_OTHER)


def written(shown: Mapping[str, Any]) -> dict[str, str]:
    """A machine as the fields of the form."""
    found = {name: str(shown[name] or "") for name in PLAIN}
    found |= {f"location.{name}": str(shown["location"].get(name, "")) for name in PLACE}
    bmc = shown["bmc"] or {}
    found |= {f"bmc.{name}": "" if bmc.get(name) is None else str(bmc[name]) for name in BMC}
    found["labels"] = "\n".join(f"{name}={value}" for name, value in sorted(shown["labels"].items()))
    found |= {name: json.dumps(shown[name], indent=1, ensure_ascii=False) for name in STRUCTURED}
    found["version"] = str(shown["version"])
    return found


def changed(shown: Mapping[str, Any], form: Mapping[str, str], password: str) -> dict[str, Any]:
    """What differs from what is kept, in the form in which the API takes it; raises Invalid."""
    before = written(shown)
    differs = {name for name in FIELDS if _same_lines(form[name]) != _same_lines(before[name])}
    values: dict[str, Any] = {name: form[name] or None for name in PLAIN if name in differs}
    if any(name.startswith("location.") for name in differs):
        others = {name: value for name, value in shown["location"].items() if name not in PLACE}
        values["location"] = others | {name: value for name in PLACE if (value := form[f"location.{name}"])}
    if password or any(name.startswith("bmc.") for name in differs):
        values["bmc"] = _bmc(form, password)
    if "labels" in differs:
        pairs = (line.partition("=") for line in form["labels"].splitlines() if line.strip())
        values["labels"] = {name.strip(): value.strip() for name, _sign, value in pairs}
    problems = []
    for name in STRUCTURED:
        if name in differs:
            try:
                values[name] = json.loads(form[name] or ("[]" if name == "interfaces" else "{}"))
            except ValueError as error:
                problems.append(FieldProblem(name, f"This is no JSON: {error}.", "Mend it, or load the page again."))
    if problems:
        raise Invalid("The machine cannot be saved.", problems=problems)
    return values


def _bmc(form: Mapping[str, str], password: str) -> dict[str, Any] | None:
    """The BMC as typed, without its password unless another was; none without an address."""
    if not form["bmc.address"]:
        return None
    found: dict[str, Any] = {name: value for name in BMC if (value := form[f"bmc.{name}"])}
    return found | ({"password": password} if password else {})


def _same_lines(text: str) -> str:
    """Browsers send CR LF, and fields end where somebody stopped to type."""
    return text.replace("\r\n", "\n").strip()


def _page(shown: Mapping[str, Any], form: Mapping[str, str], errors: Mapping[str, str], problem: str) -> str:
    with context().database.read() as session:
        names = {
            kind.__tablename__: session.scalars(select(kind.name).order_by(kind.name)).all()
            for kind in (Role, Release, Cluster)
        }
        names["projects"] = projects.known(session)
    return render_template("machine_edit.html", machine=shown, form=form, errors=errors, problem=problem, **names)
