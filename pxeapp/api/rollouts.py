"""`/rollouts`: previewed, made, looked at, and told what to do while they run."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, request, url_for
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from werkzeug.exceptions import UnsupportedMediaType

from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.machines import FORM_OF
from pxeapp.api.paging import PageQuery, page
from pxeapp.db import now
from pxeapp.rollouts import control, dry_run, looking, service, text, wire
from pxeapp.rollouts.models import Rollout
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec
from pxeapp.rollouts.text import Written

bp = APIBlueprint("rollouts", __name__, url_prefix="/api/v1", tag="Rollouts")
Reason = Annotated[str, Field(max_length=500, description="Everybody sees it.")]
Wave = Annotated[int, Field(ge=0, le=100_000, description="0: the canaries.")]


STEERING = tuple(
    f"rollouts.{verb}"
    for verb in (
        "start", "pause", "resume", "abort", "go_on", "skip_member", "retry_member", "skip_wave", "retry_wave",
    )
)  # fmt: skip
EXAMPLE = {
    "name": "openssl",
    "machines": {"cluster": "prod", "role": "compute"},
    "action": {"patch": {"packages": "security"}},
    "order": {"canary": 1, "waves": {"by": "percent", "size": 25}, "max_unavailable": "10%", "pause_after": ["canary"]},
    "verify": {"gates": ["ssh", "services"]},
}
State = Literal["planned", "running", "paused", "aborting", "done", "failed", "aborted"]
MemberState = Literal["waiting", "running", "done", "failed", "skipped", "aborted"]


class _Open(BaseModel):
    """More fields may come."""

    model_config = ConfigDict(extra="allow")


class RolloutRowOut(_Open):
    """A rollout: where it stands. `says`: what it waits for; `reason`: why it is paused or was aborted."""

    id: int
    name: str
    state: State
    says: str
    reason: str
    reason_code: str
    wave: int
    soak_until: str | None
    passed: list[Any]
    total: int
    counts: dict[MemberState, int]
    created_by: str
    created_at: str
    started_at: str | None
    deadline: str | None
    finished_at: str | None
    version: int


class PlannedWaveOut(_Open):
    """A wave. `names` only in a preview; afterwards ask for its members."""

    number: int
    title: str
    total: int
    max_failures: int | None
    pause: bool
    names: list[str] = []


class InvariantOut(BaseModel):
    """What an invariant means for some machines: the arithmetic."""

    invariant: str
    name: str
    allowed: int
    total: int
    machines: int
    says: str


class PlanOut(BaseModel):
    """Waves, and limits in numbers."""

    waves: list[PlannedWaveOut]
    max_unavailable: int
    max_failures: int
    max_failures_per_wave: int | None
    groups: list[InvariantOut]
    notes: list[str]


class LimitOut(BaseModel):
    """How many are down of how many may be; `rollout` is its own limit, the others are invariants."""

    name: str
    down: int
    allowed: int
    says: str
    who: list[str]
    more: int


class RolloutOut(RolloutRowOut):
    """A rollout with its text, its plan, and its budget as it is used up now."""

    spec: dict[str, Any]
    plan: PlanOut
    budget: list[LimitOut]


class ForecastOut(_Open):
    """What is left, in seconds: in eight of ten cases between low and high. `guessed`: there is too little history."""

    says: str
    guessed: bool
    total: dict[str, int]
    machine: dict[str, int]
    waves: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    ends_at: str | None
    ends_by: str | None
    notes: list[str]


class PreviewOut(BaseModel):
    """What a rollout would do."""

    total: int
    plan: PlanOut
    forecast: ForecastOut
    findings: list[str]


class PackageOut(BaseModel):
    """One package: from a version to another; empty where there is none."""

    name: str
    old: str
    new: str


class SameOut(BaseModel):
    """Machines on which exactly the same would change."""

    machines: list[str]
    tool: str
    changes: list[PackageOut]
    held: list[str]
    absent: list[str]


class PackagesOut(BaseModel):
    """What would be patched; `not_asked`: machines that could not be asked, with why."""

    groups: list[SameOut]
    not_asked: dict[str, str]


class MemberRowOut(_Open):
    """One machine of a rollout."""

    id: int
    machine: str
    machine_id: int
    wave: int
    position: int
    state: MemberState
    step: str
    says: str
    reason: str
    reason_code: str
    hint: str
    asked: str
    started_at: str | None
    step_deadline: str | None
    finished_at: str | None


class TryOut(_Open):
    """One try of a step."""

    id: int
    step: str
    tries: int
    started_at: str
    finished_at: str | None
    outcome: Literal["done", "failed", "aborted"] | None
    code: str
    says: str
    evidence: dict[str, Any]
    log: str


class MemberOut(MemberRowOut):
    """One machine with every try of each step."""

    steps: list[TryOut]


class RolloutEventOut(BaseModel):
    """A line of a rollout's course."""

    id: int
    at: str
    kind: str
    message: str
    member_id: int | None
    evidence: dict[str, Any]


def schemas() -> dict[str, Any]:
    """What is read by hand, so that it may be YAML too, for the OpenAPI document."""
    ref = "#/components/schemas/{model}"
    found = Spec.model_json_schema(ref_template=ref)
    parts: dict[str, Any] = found.pop("$defs")
    return {**parts, "Spec": found}


class ReasonIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason = ""


class ContinueIn(BaseModel):
    """Behind which wave's pause it goes on; left out: the one that it stands at."""

    model_config = ConfigDict(extra="forbid")
    wave: Wave | None = None


class RetryIn(BaseModel):
    """From which step on."""

    model_config = ConfigDict(extra="forbid")
    step: Annotated[
        str,
        Field(max_length=12, description="Empty: the one that failed. undrain: it is put back as it is."),
    ] = ""


class CreateQuery(BaseModel):
    """`dry_run=1` only shows the plan, as /rollouts/preview does."""

    dry_run: bool = False


class RolloutQuery(PageQuery):
    """Narrow the list."""

    state: Literal["", "planned", "running", "paused", "aborting", "done", "failed", "aborted"] = ""


class MemberQuery(PageQuery):
    """Narrow the list."""

    wave: Wave | None = None
    state: Literal["", "waiting", "running", "done", "failed", "skipped", "aborted"] = ""


@bp.get("/rollouts")
@bp.input(RolloutQuery, location="query", arg_name="query")
def listing(query: RolloutQuery) -> dict[str, Any]:
    """Rollouts, oldest first"""
    with context().database.read() as session:
        rows = service.listing(session, query.after_id, query.limit + 1, state=query.state)
        by = looking.by_wave(session, rows)
        return page(rows, query.limit, lambda row: wire.rollout(row, looking.counts(by[row.id])), lambda row: row.id)


@bp.post("/rollouts")
@bp.input(CreateQuery, location="query", arg_name="query")
@bp.doc(description="In JSON or YAML, see docs/rollouts.md. It is planned, and nothing begins before it is started.")
def create(query: CreateQuery) -> Response:
    """Make a rollout"""
    written = _written()
    if query.dry_run:
        return jsonify(_preview(written))
    tools, by = context().checker.tools, actor().label
    with written.locating():
        context().reaching.refuse(written.spec)
    with written.locating(), context().database.write() as session:
        row = service.create(session, written.spec, tools=tools, actor=by, now=now())
        session.flush()
        answer = _answer(session, row, HTTPStatus.CREATED)
        answer.headers["Location"] = url_for("rollouts.show", number=row.id)
        return answer


@bp.post("/rollouts/preview")
@bp.doc(description="In JSON or YAML. Refuses what making it would refuse, each problem at its field and line.")
def preview() -> dict[str, Any]:
    """What a rollout would do: its waves, its limits in numbers, how long it may take; nothing is saved"""
    return _preview(_written())


@bp.post("/rollouts/packages")
@bp.doc(description="In JSON or YAML. Every machine of the plan is asked over ssh; who does not answer is named.")
def packages() -> dict[str, Any]:
    """What a rollout that patches would change on each machine, those alike together; nothing is changed"""
    written = _written()
    own = context()
    with written.locating():
        found = dry_run.dry_run(own.database, own.checker.tools, written.spec, now=now())
    return dry_run.wire(found)


@bp.get("/rollouts/<int:number>")
def show(number: int) -> Response:
    """One rollout: its state, its text, its plan and how far it is"""
    with context().database.read() as session:
        return _answer(session, service.get(session, number))


@bp.get("/rollouts/<int:number>/members")
@bp.input(MemberQuery, location="query", arg_name="query")
def members(number: int, query: MemberQuery) -> dict[str, Any]:
    """Its machines, in the order in which they are worked on"""
    with context().database.read() as session:
        row = service.get(session, number)
        found = service.members(session, row, query.after_id, query.limit + 1, wave=query.wave, state=query.state)
        return page(found, query.limit, wire.member, lambda each: each.id)


@bp.get("/rollouts/<int:number>/members/<key>")
def member(number: int, key: str) -> dict[str, Any]:
    """One machine of it, with every try of each step: evidence, durations, log"""
    with context().database.read() as session:
        found = service.member(session, service.get(session, number), key)
        tries = service.steps(session, found)
        steps = [{**wire.step(each), "log": each.log.decode(errors="replace")} for each in tries]
        return {**wire.member(found), "steps": steps}


@bp.get("/rollouts/<int:number>/events")
@bp.input(PageQuery, location="query", arg_name="query")
def events(number: int, query: PageQuery) -> dict[str, Any]:
    """What happened, oldest first"""
    with context().database.read() as session:
        found = service.events(session, service.get(session, number), query.after_id, query.limit + 1)
        return page(found, query.limit, wire.event, lambda each: each.id)


@bp.get("/rollouts/<int:number>/forecast")
def forecast(number: int) -> dict[str, Any]:
    """How long it may still take, from this site's own history"""
    with context().database.read() as session:
        return service.forecast(session, service.get(session, number), now=now()).to_dict()


@bp.post("/rollouts/<int:number>/start")
def start(number: int) -> Response:
    """Start it"""
    return _control(number, lambda session, row: control.start(session, row, actor=actor().label, now=now()))


@bp.post("/rollouts/<int:number>/pause")
@bp.input(ReasonIn, arg_name="said")
def pause(number: int, said: ReasonIn) -> Response:
    """Begin nothing more; what is in hand is brought to its end"""
    return _control(
        number, lambda session, row: control.pause(session, row, reason=said.reason, actor=actor().label, now=now())
    )


@bp.post("/rollouts/<int:number>/resume")
def resume(number: int) -> Response:
    """Go on after a pause"""
    return _control(number, lambda session, row: control.resume(session, row, actor=actor().label, now=now()))


@bp.post("/rollouts/<int:number>/abort")
@bp.input(ReasonIn, arg_name="said")
def abort(number: int, said: ReasonIn) -> Response:
    """Begin nothing more and bring what is in hand to a safe end, for good"""
    return _control(
        number, lambda session, row: control.abort(session, row, reason=said.reason, actor=actor().label, now=now())
    )


@bp.post("/rollouts/<int:number>/continue")
@bp.input(ContinueIn, arg_name="said")
def go_on(number: int, said: ContinueIn) -> Response:
    """Pass a pause point"""
    return _control(
        number, lambda session, row: control.go_on(session, row, wave=said.wave, actor=actor().label, now=now())
    )


@bp.post("/rollouts/<int:number>/members/<key>/skip")
def skip_member(number: int, key: str) -> Response:
    """Leave a machine out; one that failed does not count any more"""
    return _control(number, lambda session, row: _skip(session, row, machine=key))


@bp.post("/rollouts/<int:number>/members/<key>/retry")
@bp.input(RetryIn, arg_name="said")
def retry_member(number: int, key: str, said: RetryIn) -> Response:
    """Try a machine again, from the step that failed"""
    return _control(number, lambda session, row: _retry(session, row, said.step, machine=key))


@bp.post("/rollouts/<int:number>/waves/<int:wave>/skip")
def skip_wave(number: int, wave: int) -> Response:
    """Leave out all of a wave that waits or has failed"""
    return _control(number, lambda session, row: _skip(session, row, wave=wave))


@bp.post("/rollouts/<int:number>/waves/<int:wave>/retry")
@bp.input(RetryIn, arg_name="said")
def retry_wave(number: int, wave: int, said: RetryIn) -> Response:
    """Try all of a wave again that has failed"""
    return _control(number, lambda session, row: _retry(session, row, said.step, wave=wave))


def _skip(session: Session, row: Rollout, *, machine: str | None = None, wave: int | None = None) -> None:
    control.skip(session, row, machine=machine, wave=wave, actor=actor().label, now=now())


def _retry(session: Session, row: Rollout, step: str, *, machine: str | None = None, wave: int | None = None) -> None:
    control.retry(session, row, machine=machine, wave=wave, step=step, actor=actor().label, now=now())


def _control(number: int, do: Callable[[Session, Rollout], object]) -> Response:
    """In one transaction, if it is still as it was read."""
    with context().database.write() as session:
        row = service.get(session, number, lock=True)
        etags.check({"version": row.version})
        do(session, row)
        session.flush()
        return _answer(session, row)


def _answer(session: Session, row: Rollout, status: int = HTTPStatus.OK) -> Response:
    """With its ETag, which persons' changes count up; how far it is goes on without them, so it is never a 304."""
    shown = wire.rollout(row, looking.counts(looking.by_wave(session, [row])[row.id]), plan=True)
    shown["budget"] = [each.to_dict() for each in looking.budget(session, Plan.from_dict(row.plan))]
    return etags.moving(shown, status)


def _preview(written: Written) -> dict[str, Any]:
    tools = context().checker.tools
    with written.locating():
        with context().database.read() as session:
            found = service.preview(session, written.spec, tools=tools, now=now())
        context().reaching.refuse(written.spec)
    return wire.preview(found)


def _written() -> Written:
    """The body, in whichever form it came; raises Invalid."""
    form = FORM_OF.get(request.mimetype, "")
    if form == "json":
        return Written(text.understood(request.get_json()))
    if form == "yaml":
        return text.read(request.get_data(as_text=True))
    raise UnsupportedMediaType(f"The body is {request.mimetype or 'of no type'}, neither JSON nor YAML.")
