"""`/checks`: the faults of what every machine would be given, page by page: each machine is rendered for it."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.api.context import context
from pxeapp.api.paging import Page, page
from pxeapp.errors import PxeError
from pxeapp.machines.models import Machine
from pxeapp.provisioning import rendered

bp = APIBlueprint("checks", __name__, url_prefix="/api/v1", tag="Deployments")
MOST = 200  # machines of one page: each takes milliseconds, not microseconds


class CheckQuery(BaseModel):
    """Narrow the list, and where the page starts."""

    release: Annotated[str, Field(max_length=255)] = ""
    after: Annotated[str, Field(max_length=255)] = ""
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100


class FaultOut(BaseModel):
    """What is wrong with a file, and how to mend it; `advice`: it would be installed all the same."""

    line: int
    problem: str
    fix: str
    advice: bool
    text: str


class CheckedOut(BaseModel):
    """A machine, and the faults of all of its files; what cannot even be made is one."""

    machine: str
    faults: list[FaultOut]


@bp.get("/checks")
@bp.input(CheckQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: CheckQuery) -> dict[str, Any]:
    """Check the files of every machine that has a release and a role"""
    wanted = select(Machine).where(Machine.release.is_not(None), Machine.role.is_not(None), Machine.name > query.after)
    if query.release:
        wanted = wanted.where(Machine.release == query.release)
    with context().database.read() as session:
        rows = session.scalars(wanted.order_by(Machine.name).limit(query.limit + 1)).all()
        return page(rows, query.limit, lambda row: _checked(session, row), lambda row: row.name)


def _checked(session: Session, row: Machine) -> dict[str, Any]:
    try:
        files = rendered.rendered(session, context().checker, row)
    except PxeError as error:
        cannot = {"line": 0, "problem": error.sentence, "fix": error.hint, "advice": False, "text": error.in_full}
        return {"machine": row.name, "faults": [cannot]}
    return {"machine": row.name, "faults": [fault for file in files for fault in file["faults"]]}
