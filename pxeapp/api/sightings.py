"""`/sightings`: machines seen on the wire, known or not; and adopting the unknown ones."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from pxeapp.api.context import actor, context, site
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.db import now
from pxeapp.machines import adopting
from pxeapp.machines.models import Sighting

bp = APIBlueprint("sightings", __name__, url_prefix="/api/v1", tag="Sightings")


class SightingQuery(PageQuery):
    """`unknown=1` leaves out what belongs to a machine."""

    unknown: bool = False


class AdoptIn(BaseModel):
    """Machines as an import has them; `mac` names the one that was seen. `dry_run` checks all, does nothing."""

    model_config = ConfigDict(extra="forbid")
    items: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=adopting.AT_ONCE)]
    dry_run: bool = False


class AdoptedOut(BaseModel):
    """The names of the machines that are registered now, in the order of the items."""

    created: list[str]
    dry_run: bool


class SightingOut(BaseModel):
    """A machine seen on the wire."""

    model_config = ConfigDict(extra="allow")
    mac: str
    machine_id: int | None
    address: str | None
    arch: str | None
    first_seen: str
    last_seen: str


@bp.get("/sightings")
@bp.input(SightingQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: SightingQuery) -> dict[str, Any]:
    """Machines seen on the wire, known or not"""
    with context().database.read() as session:
        found = select(Sighting).where(Sighting.mac > query.after).order_by(Sighting.mac).limit(query.limit + 1)
        if query.unknown:
            found = found.where(adopting.strangers())
        return page(session.scalars(found).all(), query.limit, _sighting, lambda each: each.mac)


@bp.post("/sightings/adopt")
@bp.input(AdoptIn, arg_name="said")
@bp.output(AdoptedOut, status_code=HTTPStatus.CREATED)
def adopt(said: AdoptIn) -> dict[str, Any]:
    """Register unknown machines that were seen, all or none; a 422 names each that cannot be"""
    own = context()
    with own.database.write() as session:
        names = adopting.adopt(
            session, own.vault, site(session), said.items, actor=actor().label, now=now(), dry_run=said.dry_run
        )
    return {"created": names, "dry_run": said.dry_run}


def _sighting(row: Sighting) -> dict[str, Any]:
    return {
        "mac": row.mac,
        "machine_id": row.machine_id,
        "address": row.address,
        "arch": row.arch,
        "vendor_class": row.vendor_class,
        "serial": row.serial,
        "uuid": row.uuid,
        "manufacturer": row.manufacturer,
        "product": row.product,
        "first_seen": row.first_seen.isoformat(),
        "last_seen": row.last_seen.isoformat(),
        "loader_requests": row.loader_requests,
    }
