"""Serial consoles: watched as server-sent events, typed into by small requests, and recorded for each deployment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import actor, context
from pxeapp.api.guard import credential
from pxeapp.api.paging import PageQuery, part
from pxeapp.consoles import recordings, service
from pxeapp.consoles.relay import the_relay
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.streams import answer

bp = APIBlueprint("consoles", __name__, url_prefix="/api/v1", tag="Consoles")
CAST = "application/x-asciicast"


class KeysIn(BaseModel):
    """What to type; a line ends with \\r, as the Enter key sends it."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(min_length=1, max_length=service.KEYS_LIMIT)]


class ActIn(BaseModel):
    """`break`: the signal that a kernel takes for SysRq. `take`: from another program. `release`: give it back."""

    model_config = ConfigDict(extra="forbid")
    action: Literal["break", "take", "release"]


class ConsoleOut(BaseModel):
    """`state`: none (no BMC gives us one), closed, opening, open, waiting (tried again), calm (power goes first)."""

    model_config = ConfigDict(extra="allow")
    state: str
    detail: str
    viewers: int
    recording: int | None


class RecordingOut(BaseModel):
    """One recording. `ended_at` is null while it is being recorded; `cut`: it said more than a recording may hold."""

    model_config = ConfigDict(extra="allow")
    id: int
    deployment_id: int | None
    title: str
    size: int
    cut: bool
    trouble: str
    started_at: str
    ended_at: str | None


@bp.get("/machines/<key>/console")
def show(key: str) -> dict[str, Any]:
    """Whether the console is open, since when, who watches, and whether it is recorded"""
    own = context()
    with own.database.read() as session:
        row = selectors.get(session, key)
        return service.standing(own.settings, row)


@bp.get("/machines/<key>/console/stream")
@bp.doc(
    description="Server-sent events: `said` (base64 of what the machine said), `standing`, `missed`, `anew`. Reconnect "
    "with `Last-Event-ID`. Whoever watches opens the line, and the audit says who did."
)
def stream(key: str) -> Response:
    """Watch the console"""
    return answer_stream(key, "consoles.stream")


@bp.post("/machines/<key>/console/keys")
@bp.input(KeysIn, arg_name="said")
@bp.output({}, status_code=204)
def keys(key: str, said: KeysIn) -> str:
    """Type on the console"""
    own = context()
    service.type_keys(own.database, own.settings, key, said.text.encode(), actor=actor().label, now=now())
    return ""


@bp.post("/machines/<key>/console")
@bp.input(ActIn, arg_name="said")
@bp.output({}, status_code=204)
def act(key: str, said: ActIn) -> str:
    """Send a break, take the console from another program, or give it back"""
    own = context()
    service.act(own.database, own.settings, key, said.action, actor=actor().label, now=now())
    return ""


@bp.get("/machines/<key>/console/recordings")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(key: str, query: PageQuery) -> dict[str, Any]:
    """What was recorded, the newest first: one for each deployment"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        shown = [recordings.wire(each) for each in recordings.of_machine(session, row.id)]
        return part(shown, query, lambda each: each["id"])


@bp.get("/machines/<key>/console/recordings/<int:number>")
def recording(key: str, number: int) -> Response:
    """A recording in asciicast's form, version 2"""
    return answer_recording(key, number, text=False)


@bp.get("/machines/<key>/console/recordings/<int:number>/text")
def recording_text(key: str, number: int) -> Response:
    """A recording as plain text, without what a terminal would obey"""
    return answer_recording(key, number, text=True)


def answer_stream(key: str, endpoint: str) -> Response:
    """What the machine says, for as long as its viewer may use `endpoint`; who comes back names the last event."""
    own, after = context(), request.headers.get("Last-Event-ID", "")[:100]
    with own.database.read() as session:
        row = selectors.get(session, key)
        service.refuse_without(row)
    if not after:  # one that only comes back after a moment opens nothing
        with own.database.write() as session:
            service.opened(session, selectors.get(session, key), actor=actor().label, now=now())
    who, database = credential(), own.database

    def may() -> bool:
        with database.read() as session:
            return who.holds(session, now(), endpoint)

    made = the_relay().watch(own.settings, row.id, after=after, owner=actor().label, may=may)
    return answer(made, request.environ)


def answer_recording(key: str, number: int, *, text: bool) -> Response:
    """The file as it is, or its text; the pages use it as well."""
    own = context()
    with own.database.read() as session:
        row = selectors.get(session, key)
        found = recordings.get(session, row.id, number)
        name = f"{row.name}-{found.id}.{'txt' if text else 'cast'}"
    path = recordings.path_of(own.settings.data_dir, found.id)
    if text:
        answer = Response("".join(recordings.as_text(path)), mimetype="text/plain")
    else:
        answer = Response("".join(recordings.lines(path)), mimetype=CAST)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
