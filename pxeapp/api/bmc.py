"""What a machine's BMC says of itself, and what it is told: `/machines/{id}/sensors`, `/sel`, `/boot-device`, `/bmc`.

No handler talks to a BMC. A GET gives what was read last and when; a POST leaves an order for the BMC worker and is
answered with 202 and where to watch it.
"""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response, jsonify, url_for
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.bmc import orders, wire
from pxeapp.bmc.models import BmcFact, BmcOrder, SelEntry
from pxeapp.bmc.readings import Device, Override
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.provisioning import lifecycle

bp = APIBlueprint("bmc", __name__, url_prefix="/api/v1", tag="BMC")


class BootDeviceIn(BaseModel):
    """Where to start from: at the next boot only, or with `persistent` at every one. `none`: the firmware's order."""

    model_config = ConfigDict(extra="forbid")
    device: Device
    persistent: bool = False
    uefi: bool = False


class IdentifyIn(BaseModel):
    """For how long the light blinks; 0 puts it out."""

    model_config = ConfigDict(extra="forbid")
    seconds: Annotated[int, Field(ge=0, le=255)] = 15


class _Open(BaseModel):
    """More fields may come."""

    model_config = ConfigDict(extra="allow")


class BmcOrderOut(_Open):
    """An order to a BMC. `outcome` is null until it was carried out: done or failed."""

    id: int
    kind: str
    argument: dict[str, Any]
    outcome: str | None
    error_code: str
    error: str
    requested_by: str
    requested_at: str
    finished_at: str | None


class SensorOut(_Open):
    """One sensor. `health`: ok, warning, critical, failed, unavailable."""

    name: str
    value: float | None
    unit: str
    health: str
    states: list[str]
    thresholds: dict[str, float]


class SensorsOut(_Open):
    """All of them, as they were read at `seen_at`; `health` is the worst."""

    seen_at: str | None
    health: str | None
    items: list[SensorOut]
    next: None
    order: BmcOrderOut | None


class SelEntryOut(_Open):
    """One line of the event log. `at` is by the BMC's clock."""

    id: int
    record: int
    at: str | None
    sensor: str
    event: str
    severity: str
    asserted: bool
    seen_at: str
    raw: str


class BootDeviceOut(_Open):
    """The boot device. `confirmed`: the BMC said so itself."""

    seen_at: str | None
    device: str | None
    persistent: bool
    uefi: bool
    confirmed: bool
    order: BmcOrderOut | None


class BmcOut(_Open):
    """Who the BMC is."""

    seen_at: str | None
    identity: dict[str, str] | None
    sel: dict[str, Any] | None
    order: BmcOrderOut | None


@bp.get("/machines/<key>/sensors")
def sensors(key: str) -> dict[str, Any]:
    """The sensors as they were read last, with thresholds and health"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        read = orders.fact(session, row.id, "sensors")
        value = read.value if read else {}
        last = orders.latest(session, row.id, "sensors")
        return {
            **_seen(read), "health": value.get("health"), "items": value.get("items", []), "next": None,
            "order": wire.order(last),
        }  # fmt: skip


@bp.post("/machines/<key>/sensors/refresh")
@bp.output({}, status_code=202)
def refresh_sensors(key: str) -> Response:
    """Have the sensors read"""
    return _order(key, "sensors")


@bp.get("/machines/<key>/sel")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def sel(key: str, query: PageQuery) -> dict[str, Any]:
    """The BMC's event log as far as we ever read it, oldest first; it stays when the BMC's own is cleared"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        found = select(SelEntry).where(SelEntry.machine_id == row.id, SelEntry.id > query.after_id)
        rows = session.scalars(found.order_by(SelEntry.id).limit(query.limit + 1)).all()
        return page(rows, query.limit, wire.entry, lambda each: each.id)


@bp.post("/machines/<key>/sel/refresh")
@bp.output({}, status_code=202)
def refresh_sel(key: str) -> Response:
    """Have the event log read"""
    return _order(key, "sel")


@bp.post("/machines/<key>/sel/clear")
@bp.output({}, status_code=202)
def clear_sel(key: str) -> Response:
    """Have the BMC's event log emptied, after all of it was read and stored here"""
    return _order(key, "clear_sel")


@bp.get("/machines/<key>/boot-device")
def boot_device(key: str) -> dict[str, Any]:
    """The boot device as it was read or set last; `device` is null where the BMC cannot tell"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        read = orders.fact(session, row.id, "boot_device")
        value = read.value if read else {"device": None, "persistent": False, "uefi": False, "confirmed": False}
        last = orders.latest(session, row.id, "boot_device", "set_boot_device")
        return {**_seen(read), **value, "order": wire.order(last)}


@bp.post("/machines/<key>/boot-device")
@bp.input(BootDeviceIn, arg_name="said")
@bp.output({}, status_code=202)
def set_boot_device(key: str, said: BootDeviceIn) -> Response:
    """Set the boot device, for the next boot or for every one"""
    with context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        lifecycle.refuse_power_order(row)  # a deployment sets it by itself, and would be led astray
        order = orders.request_override(
            session, machine_id=row.id, wanted=Override(**said.model_dump()), requested_by=actor().label, now=now()
        )
        return accepted(order, row.name)


@bp.post("/machines/<key>/boot-device/refresh")
@bp.output({}, status_code=202)
def refresh_boot_device(key: str) -> Response:
    """Have the boot device read"""
    return _order(key, "boot_device")


@bp.get("/machines/<key>/bmc")
def identity(key: str) -> dict[str, Any]:
    """Who the BMC is: firmware, maker, product and serial number as it says them, and how full its event log is"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        found = orders.facts(session, row.id)
        who, log = found.get("identity"), found.get("sel")
        return {
            **_seen(who), "identity": who.value if who else None,
            "sel": {**_seen(log), **log.value} if log else None, "order": wire.order(
                orders.latest(session, row.id, "identity")
            ),
        }  # fmt: skip


@bp.post("/machines/<key>/bmc/refresh")
@bp.output({}, status_code=202)
def refresh_identity(key: str) -> Response:
    """Have the BMC say who it is"""
    return _order(key, "identity")


@bp.post("/machines/<key>/identify")
@bp.input(IdentifyIn, arg_name="said")
@bp.output({}, status_code=202)
def identify(key: str, said: IdentifyIn) -> Response:
    """Blink the chassis' light"""
    return _order(key, "identify", seconds=said.seconds)


@bp.get("/machines/<key>/bmc/orders/<int:number>")
def order(key: str, number: int) -> dict[str, Any]:
    """What became of an order"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        return wire.order(orders.get(session, row.id, number)) or {}


def accepted(order: BmcOrder, name: str) -> Response:
    """202, and where to watch it."""
    answer = jsonify(wire.order(order))
    answer.status_code = 202
    answer.headers["Location"] = url_for("bmc.order", key=name, number=order.id)
    return answer


def _order(key: str, kind: orders.Kind, **argument: Any) -> Response:
    with context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        order = orders.request(
            session, machine_id=row.id, kind=kind, requested_by=actor().label, now=now(), argument=argument
        )
        return accepted(order, row.name)


def _seen(read: BmcFact | None) -> dict[str, Any]:
    return {"seen_at": read.seen_at.isoformat() if read else None}
