"""The racks, drawn by what machines say of where they stand; and the same as a table."""

from __future__ import annotations

from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from pxeapp.api.context import context
from pxeapp.machines.lifecycle import FAILED
from pxeapp.machines.models import Machine
from pxeapp.ui.blueprint import bp
from pxeapp.ui.elevation import Placed, racks

DRAWN = 8  # racks on one page
MOST_IN_ONE = 500  # machines of one rack that are drawn; a typing error must not make a page of 10,000
HOMELESS_SHOWN = 30


@bp.get("/racks")
def rack_elevation() -> ResponseReturnValue:
    """The page."""
    return render_template("racks.html", **_view())


@bp.get("/racks/part")
def racks_part() -> ResponseReturnValue:
    """The part of it that changes."""
    return render_template("_racks.html", **_view())


def _view() -> dict[str, Any]:
    wanted = request.args.get("rack", "")[:100].replace("\0", "")
    after = request.args.get("after", "")[:100].replace("\0", "")
    with context().database.read() as session:
        known = _known(session)
        names = [name for name, _total, _failed in known]
        shown = [wanted] if wanted in names else [name for name in names if name > after][:DRAWN]
        rest = [name for name in names if shown and name > shown[-1]]
        homeless = select(Machine.name, Machine.state).where(Machine.rack.is_(None)).order_by(Machine.name)
        return {
            "known": known,
            "racks": racks(_machines(session, shown)),
            "wanted": wanted if wanted in names else "",
            "after": after,
            "next": shown[-1] if rest and not wanted else "",
            "homeless": session.execute(homeless.limit(HOMELESS_SHOWN)).all(),
            "homeless_total": session.scalar(select(func.count()).where(Machine.rack.is_(None))) or 0,
        }


def _known(session: Session) -> list[tuple[str, int, int]]:
    """Every rack with the number of its machines, and of those that failed."""
    bad = func.sum(case((Machine.state.in_(FAILED), 1), else_=0))
    counted = select(Machine.rack, func.count(), bad).where(Machine.rack.is_not(None)).group_by(Machine.rack)
    return sorted((name, total, failed or 0) for name, total, failed in session.execute(counted))


def _machines(session: Session, names: list[str]) -> list[Placed]:
    columns = [getattr(Machine, name) for name in Placed._fields]
    found = select(*columns).where(Machine.rack.in_(names)).order_by(Machine.name).limit(MOST_IN_ONE * DRAWN)
    return [Placed(*row) for row in session.execute(found)]
