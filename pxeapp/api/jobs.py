"""`POST /machines/bulk`: one action on many machines; `/jobs`: how far it is, and how each machine fared."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, url_for
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.db import now
from pxeapp.jobs import service as jobs
from pxeapp.jobs.models import COMPARE, Job
from pxeapp.machines.narrowing import Narrowed, Word
from pxeapp.provisioning import bulk
from pxeapp.provisioning.bulk import Selection

bp = APIBlueprint("jobs", __name__, url_prefix="/api/v1", tag="Jobs")
Key = Annotated[str, Field(min_length=1, max_length=255)]
OPTIONS = {name.removeprefix("*") for _, names in bulk.ACTIONS.values() for name in names}


class FilterIn(Narrowed):
    """As the parameters of GET /machines."""

    model_config = ConfigDict(extra="forbid")


class BulkIn(BaseModel):
    """The action with its options, and which machines: `machines` or `filter`."""

    model_config = ConfigDict(extra="forbid")
    action: bulk.Action
    machines: Annotated[
        list[Key], Field(max_length=bulk.MOST, description="By name, MAC or number; or leave it out and filter.")
    ] = []
    filter: Annotated[FilterIn | None, Field(description="All machines that it finds, on every page.")] = None
    everything: Annotated[bool, Field(description="Needed beside a filter that narrows nothing.")] = False
    expect: Annotated[
        int | None,
        Field(ge=0, le=bulk.MOST, description="How many machines this touches; 409 when it is another number."),
    ] = None
    dry_run: Annotated[bool, Field(description="Only say which machines it would touch.")] = False
    release: Annotated[Word | None, Field(description="Of deploy.")] = None
    role: Annotated[Word | None, Field(description="Of deploy.")] = None
    reimage: Annotated[bool | None, Field(description="Of deploy: machines that are active, too.")] = None
    power: Annotated[Literal["on", "off", "cycle"] | None, Field(description="Of power.")] = None
    set: Annotated[dict[str, str] | None, Field(description="Of label.", max_length=50)] = None
    remove: Annotated[list[Word] | None, Field(description="Of label.", max_length=50)] = None
    on: Annotated[bool | None, Field(description="Of maintenance and lock.")] = None
    reason: Annotated[str | None, Field(max_length=500, description="Of maintenance.")] = None
    verb: Annotated[
        Literal["manage", "provide", "retire", "reserve", "unreserve"] | None, Field(description="Of bring.")
    ] = None

    def selection(self) -> Selection:
        """In our words."""
        narrowed = self.filter.filter() if self.filter is not None else None
        return Selection(tuple(self.machines), narrowed, self.everything)


class JobQuery(PageQuery):
    """Narrow the list."""

    running: bool | None = None


class ItemQuery(PageQuery):
    """Narrow the list: `outcome=refused` are those that somebody has to look at."""

    outcome: Literal["", "waiting", "done", "refused", "cancelled"] = ""


class JobOut(BaseModel):
    """How far a job is."""

    id: int
    action: str
    options: dict[str, Any]
    state: Literal["running", "finished"]
    requested_by: str
    requested_at: str
    finished_at: str | None
    cancelled: bool
    problem: str = Field(description="Why all of it failed, of a comparison.")
    total: int
    waiting: int
    done: int
    refused: int
    skipped: int
    result: str | None = Field(description="Where a comparison's answer is, once it has ended.")


class RadiusOut(BaseModel):
    """What a bulk action would touch."""

    total: int
    by_state: dict[str, int]
    machines: list[str]


class JobItemOut(BaseModel):
    """How one machine of a job fared."""

    id: int
    machine: str
    machine_id: int
    outcome: Literal["waiting", "done", "refused", "cancelled"]
    detail: str
    result: dict[str, Any]
    at: str | None


@bp.post("/machines/bulk")
@bp.input(BulkIn, arg_name="said")
@bp.doc(
    description="The number of machines is checked here: say in `expect` how many you mean. Answers with a job; "
    "`/jobs/{id}/items` reports machine by machine. One that refuses does not stop the others."
)
def order(said: BulkIn) -> Response:
    """Do one thing to many machines"""
    options = said.model_dump(include=OPTIONS, exclude_none=True)
    if said.dry_run:
        with context().database.read() as session:
            bulk.check(said.action, options, actor())
            radius = bulk.radius(session, said.selection())
        names = [each.name for each in radius.machines]
        return jsonify(total=radius.total, by_state=radius.by_state, machines=names)
    with context().database.write() as session:
        job = bulk.order(
            session, action=said.action, options=options, selection=said.selection(), expect=said.expect,
            actor=actor(), now=now(),
        )  # fmt: skip
        session.flush()
        return ordered(session, job)


@bp.get("/jobs")
@bp.input(JobQuery, location="query", arg_name="query")
def listing(query: JobQuery) -> dict[str, Any]:
    """Jobs, oldest first"""
    with context().database.read() as session:
        rows = jobs.listing(
            session, after=query.after_id, limit=query.limit + 1, running=query.running, by=jobs.seen_by(actor())
        )
        ended = jobs.counts(session, rows)
        return page(rows, query.limit, lambda row: _wire(row, ended[row.id]), lambda row: row.id)


@bp.get("/jobs/<int:number>")
def show(number: int) -> dict[str, Any]:
    """How far a job is"""
    with context().database.read() as session:
        return _shown(session, get(session, number))


@bp.get("/jobs/<int:number>/items")
@bp.input(ItemQuery, location="query", arg_name="query")
def items(number: int, query: ItemQuery) -> dict[str, Any]:
    """How each of its machines fared"""
    with context().database.read() as session:
        job = get(session, number)
        rows = jobs.items(session, job, after=query.after_id, limit=query.limit + 1, outcome=query.outcome)
        return page(rows, query.limit, jobs.item_wire, lambda row: row.id)


@bp.post("/jobs/<int:number>/cancel")
def cancel(number: int) -> dict[str, Any]:
    """Begin nothing more of a job; machines that were begun go on"""
    with context().database.write() as session:
        job = jobs.cancel(session, number, actor=actor().label, now=now(), by=jobs.seen_by(actor()))
        session.flush()
        return _shown(session, job)


def get(session: Session, number: int) -> Job:
    """A job that whoever asks may see; raises NotFound."""
    return jobs.get(session, number, by=jobs.seen_by(actor()))


def ordered(session: Session, job: Job) -> Response:
    """The answer to an order: the job, and where to watch it."""
    answer = jsonify(_shown(session, job))
    answer.status_code = HTTPStatus.ACCEPTED
    answer.headers["Location"] = (
        f"{bp.url_prefix}/jobs/{job.id}"  # not url_for: diffs, too, answers so, and is loaded alone
    )
    return answer


def _shown(session: Session, job: Job) -> dict[str, Any]:
    return _wire(job, jobs.counts(session, [job])[job.id])


def _wire(job: Job, ended: dict[str, int]) -> dict[str, Any]:
    """With the address of what it found, where it found something."""
    done = job.action == COMPARE and job.finished_at is not None and not job.cancelled and not job.problem
    return {**jobs.wire(job, ended), "result": url_for("diffs.found", number=job.id) if done else None}
