"""`/software/tasks`: long work on software, how far it is, and how it ended."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.db import now
from pxeapp.software.content import garbage
from pxeapp.software.tasks import service
from pxeapp.software.tasks.models import SoftwareTask

bp = APIBlueprint("tasks", __name__, url_prefix="/api/v1/software", tag="Software")
CLEAN = ("software.clean", "store")
Word = Annotated[str, Field(max_length=120)]


class TaskQuery(PageQuery):
    """Narrow the list."""

    running: bool | None = None
    kind: Annotated[str, Field(max_length=40)] = ""
    subject: Word = ""


class CleanIn(BaseModel):
    """What is younger than this is kept whatever holds it: work that goes on has brought it in."""

    model_config = ConfigDict(extra="forbid")
    older_than_hours: Annotated[float, Field(ge=1.0, le=8760.0)] = garbage.GRACE_S / 3600.0


class TaskOut(BaseModel):
    """A task. `done` of `total` `unit`s; a total of 0 is not known yet."""

    id: int
    kind: str
    subject: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    cancelling: bool
    done: int
    total: int
    unit: str
    says: str
    problem: str
    options: dict[str, Any]
    result: dict[str, Any]
    requested_by: str
    requested_at: str
    started_at: str | None
    finished_at: str | None


@bp.get("/tasks")
@bp.input(TaskQuery, location="query", arg_name="query")
def listing(query: TaskQuery) -> dict[str, Any]:
    """Tasks, the latest first"""
    with context().database.read() as session:
        rows = service.listing(
            session, before=query.after_id, limit=query.limit + 1, running=query.running, kind=query.kind,
            subject=query.subject,
        )  # fmt: skip
        return page(rows, query.limit, service.wire, lambda row: row.id)


@bp.get("/tasks/<int:number>")
def show(number: int) -> dict[str, Any]:
    """How far a task is, and how it ended"""
    with context().database.read() as session:
        return service.wire(service.get(session, number))


@bp.post("/tasks/<int:number>/cancel")
def cancel(number: int) -> dict[str, Any]:
    """Stop a task; what it worked on stays as it was before"""
    with context().database.write() as session:
        return service.wire(service.cancel(session, number, actor=actor().label, now=now()))


@bp.post("/tasks/<int:number>/retry")
def retry(number: int) -> Response:
    """Order the same as an ended task; what came in already does not come again"""
    with context().database.write() as session:
        return ordered(service.retry(session, number, actor=actor().label, now=now()))


@bp.post("/clean")
@bp.input(CleanIn, arg_name="said")
def clean(said: CleanIn) -> Response:
    """Remove from the disk what no medium, repository, snapshot or bundle holds any more"""
    with context().database.write() as session:
        options = {"grace_s": said.older_than_hours * 3600.0}
        return ordered(service.order(session, *CLEAN, options, actor=actor().label, now=now()))


def ordered(row: SoftwareTask) -> Response:
    """The answer to an order: the task, and where to watch it."""
    answer = jsonify(service.wire(row))
    answer.status_code = HTTPStatus.ACCEPTED
    answer.headers["Location"] = (
        f"{bp.url_prefix}/tasks/{row.id}"  # not url_for: of another blueprint this is loaded alone
    )
    return answer
