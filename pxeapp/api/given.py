"""What a machine was really given: masked for everybody, exactly as it was for an admin."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, part
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.provisioning import given

bp = APIBlueprint("given", __name__, url_prefix="/api/v1", tag="Deployments")


class GivenQuery(PageQuery):
    """Which attempt (left out: the latest), which file (left out: all), and whether to compare with today."""

    deployment: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    kind: str = ""
    diff: bool = False


class GivenFileOut(BaseModel):
    """A file that a machine was given, secrets masked."""

    model_config = ConfigDict(extra="allow")
    id: int
    kind: str
    at: str
    sha256: str
    size: int
    text: str | None
    problem: str


class GivenOut(BaseModel):
    """What a machine was given in an attempt."""

    machine: str
    deployment: int
    items: list[GivenFileOut]
    next: str | None


@bp.get("/machines/<key>/given")
@bp.input(GivenQuery, location="query", arg_name="query")
def listing(key: str, query: GivenQuery) -> dict[str, Any]:
    """What a machine was given in an attempt, secrets masked; with `diff=1` beside what it would get today"""
    own = context()
    with own.database.read() as session:
        machine = selectors.get(session, key)
        deployment = given.attempt(session, machine, query.deployment)
        files = given.files(session, own.vault, deployment, kind=query.kind)
        shown = [each.to_dict() for each in files]
        if query.diff:
            compared = given.compared(session, own.checker.tools, machine, files)
            for each, beside in zip(shown, compared, strict=True):
                each["today"] = beside.to_dict()
        return {"machine": machine.name, "deployment": deployment.id, **part(shown, query, lambda each: each["id"])}


@bp.get("/machines/<key>/given/<int:number>/exact")
@bp.doc(description="With its tokens and secrets, therefore for admins only; the audit says who looked.")
def exact(key: str, number: int) -> Response:
    """The exact bytes of one file that a machine was given"""
    own = context()
    with own.database.write() as session:
        machine = selectors.get(session, key)
        found, text = given.exact(session, own.vault, machine, number, actor=actor().label, now=now())
        return Response(text, mimetype="text/plain", headers={"X-Content-SHA256": found.sha256})
