"""`/sightings`: machines seen on the wire, known or not."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy import select

from pxeapp.api.context import context
from pxeapp.api.paging import Page, PageQuery, page
from pxeapp.machines.models import Sighting

bp = APIBlueprint("sightings", __name__, url_prefix="/api/v1", tag="Sightings")


@bp.get("/sightings")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """Machines seen on the wire, known or not"""
    with context().database.read() as session:
        found = select(Sighting).where(Sighting.mac > query.after).order_by(Sighting.mac).limit(query.limit + 1)
        return page(session.scalars(found).all(), query.limit, _sighting, lambda each: each.mac)


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
