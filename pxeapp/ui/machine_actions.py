"""What the page of a machine does: power, BMC, deploy, abort, release, lock, maintenance. The same calls as the API."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from pxeapp.api.context import actor, context, site
from pxeapp.bmc import orders, power
from pxeapp.bmc.readings import DEVICES, Override
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.machines import selectors, service
from pxeapp.machines.models import Machine
from pxeapp.machines.wire import MachineChange
from pxeapp.provisioning import lifecycle
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field, sentence
from pxeapp.ui.machine import page

READINGS: tuple[orders.Kind, ...] = ("sensors", "sel", "boot_device", "identity")
LIGHT_S = 60
REASON_LIMIT = 500


@bp.post("/machines/<key>/power")
def order_power(key: str) -> ResponseReturnValue:
    """Order on, off, or a cycle."""

    def do(session: Session, row: Machine) -> None:
        goal = request.form.get("action", "")
        if goal not in ("on", "off", "cycle"):
            raise Invalid(f"{goal!r} is not a power action.")
        lifecycle.refuse_power_order(row)
        power.request(session, machine_id=row.id, goal=cast(power.Goal, goal), requested_by=actor().label, now=now())

    return _act(key, do, "power", "bmc")


@bp.post("/machines/<key>/ask")
def ask_bmc(key: str) -> ResponseReturnValue:
    """Have the BMC read, one thing or all; or have it blink."""

    def do(session: Session, row: Machine) -> None:
        kind = request.form.get("kind", "")
        if kind not in (*READINGS, "all", "identify"):
            raise Invalid(f"{kind!r} is nothing that a BMC can be asked.")
        for each in READINGS if kind == "all" else (cast(orders.Kind, kind),):
            argument = {"seconds": LIGHT_S} if each == "identify" else {}
            orders.request(
                session, machine_id=row.id, kind=each, requested_by=actor().label, now=now(), argument=argument
            )

    return _act(key, do, "asked", "bmc")


@bp.post("/machines/<key>/clear-sel")
def clear_sel(key: str) -> ResponseReturnValue:
    """Have the BMC's event log emptied, after all of it is stored here."""

    def do(session: Session, row: Machine) -> None:
        orders.request(session, machine_id=row.id, kind="clear_sel", requested_by=actor().label, now=now())

    return _act(key, do, "asked", "bmc")


@bp.post("/machines/<key>/boot-device")
def set_boot_device(key: str) -> ResponseReturnValue:
    """Set the boot device."""

    def do(session: Session, row: Machine) -> None:
        device = request.form.get("device", "")
        if device not in DEVICES:
            raise Invalid(f"{device!r} is no boot device.", problems=[FieldProblem("device", device, "Choose one.")])
        lifecycle.refuse_power_order(row)
        wanted = Override(device, bool(request.form.get("persistent")), bool(request.form.get("uefi")))
        orders.request_override(session, machine_id=row.id, wanted=wanted, requested_by=actor().label, now=now())

    return _act(key, do, "asked", "bmc")


@bp.post("/machines/<key>/deploy")
def deploy_machine(key: str) -> ResponseReturnValue:
    """Begin a deployment; what the checks find in its files stands at release and role."""
    own = context()
    release, role = request.form.get("release") or None, request.form.get("role") or None
    begun: list[int] = []

    def do(session: Session, row: Machine) -> None:
        deployment = lifecycle.deploy(
            session, row, release=release, role=role, rehearsal=rehearsal, reimage=bool(request.form.get("reimage")),
            requested_by=actor().label, now=now(),
        )  # fmt: skip
        begun.append(deployment.id)

    try:
        rehearsal = own.checker.rehearse(own.database, key, release=release, role=role)
    except PxeError as error:
        return _refused(key, error)
    answer = _act(key, do, "deploy", "live")
    for number in begun:
        own.queue.hint(number)
    return answer


@bp.post("/machines/<key>/abort")
def abort_machine(key: str) -> ResponseReturnValue:
    """End the running deployment."""

    def do(session: Session, row: Machine) -> None:
        lifecycle.abort(session, row, requested_by=actor().label, now=now())

    return _act(key, do, "abort", "live")


@bp.post("/machines/<key>/release")
def release_machine(key: str) -> ResponseReturnValue:
    """Take it out of use."""

    def do(session: Session, row: Machine) -> None:
        lifecycle.release_machine(session, row, requested_by=actor().label, now=now())

    return _act(key, do, "release", "live")


@bp.post("/machines/<key>/lock")
def lock_machine(key: str) -> ResponseReturnValue:
    """Lock or unlock it."""
    return _change(key, MachineChange(locked=bool(request.form.get("locked"))))


@bp.post("/machines/<key>/maintenance")
def maintain_machine(key: str) -> ResponseReturnValue:
    """Begin or end maintenance; a beginning needs a reason, which everybody else will read."""
    wanted, reason = bool(request.form.get("maintenance")), request.form.get("reason", "").strip()
    if wanted and not 0 < len(reason) <= REASON_LIMIT:
        fix = "Say why, for those who wonder later."
        problem = FieldProblem("reason", f"It is empty, or longer than {REASON_LIMIT} characters.", fix)
        return _refused(key, Invalid("Maintenance needs a reason.", problems=[problem]))
    return _change(key, MachineChange(maintenance=wanted, maintenance_reason=reason if wanted else ""))


def _change(key: str, change: MachineChange) -> ResponseReturnValue:
    def do(session: Session, row: Machine) -> None:
        service.change(session, context().vault, site(session), row, change, actor=actor().label, now=now())

    return _act(key, do, "saved", "actions")


def _act(key: str, do: Callable[[Session, Machine], None], done: str, place: str) -> ResponseReturnValue:
    """In one transaction; then the page again, which a reload does not repeat. Refused: the page with the reason."""
    try:
        with context().database.write() as session:
            row = selectors.get(session, key, lock=True)
            do(session, row)
            name = row.name
    except PxeError as error:
        return _refused(key, error)
    return redirect(url_for("ui.machine_page", key=name, done=done, _anchor=place), HTTPStatus.SEE_OTHER)


def _refused(key: str, error: PxeError) -> ResponseReturnValue:
    whole = page(key, problem=sentence(error), errors=by_field(error), form=request.form)
    return whole, HTTPStatus.UNPROCESSABLE_ENTITY
