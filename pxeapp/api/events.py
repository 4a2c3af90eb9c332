"""`GET /events`: changes as server-sent events, for programs. One thread per process looks, and only while one listens.

An event's id is the change's number, the same as in the audit log and in webhooks: whoever reconnects with
`Last-Event-ID` gets everything that came after it, in order; one that comes twice has the same id.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response, current_app, request
from flask.blueprints import BlueprintSetupState
from flask.sansio.app import App
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import ADMIN, allows
from pxeapp.accounts.scope import Projects
from pxeapp.api.context import actor, context
from pxeapp.api.guard import Credential, credential
from pxeapp.db import Database, now
from pxeapp.machines.models import Machine
from pxeapp.streams import Stream, answer
from pxeapp.watching import Watch
from pxeapp.webhooks import changes

bp = APIBlueprint("events", __name__, url_prefix="/api/v1", tag="Events")
FEED = "pxeapp.feed"
AT_ONCE = 200  # changes of one look
FULL = 64 * 1024  # bytes that wait for a client: it gets more once it has read some


class EventsQuery(BaseModel):
    """Which events, and from where on."""

    events: Annotated[
        str, Field(max_length=1000, description="machine.*,network.change: those only; nothing: all that you may know.")
    ] = ""
    after: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="As Last-Event-ID. Left out: from now on.")] = (
        None
    )


@dataclass(eq=False, slots=True)
class Listener:
    """One program, what it wants to know and may know, and how far it has been told."""

    stream: Stream
    credential: Credential
    patterns: tuple[str, ...]
    everything: bool
    projects: Projects
    told: int

    def wants(self, event: str) -> bool:
        """Whether it is told of this."""
        if not (self.everything or changes.is_open(event)):
            return False
        return changes.wanted(event, self.patterns) if self.patterns else True


class Feed:
    """What the programs of one process listen to; looked at while any does, see watching.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.watch: Watch[Listener] = Watch("events", self.look)

    def look(self, listeners: list[Listener], *, check: bool) -> None:
        """Tell each what is new to it, as much as it takes."""
        moment = now()
        with self._database.read() as session:
            newest = changes.newest(session)
            if check or any(each.told < newest for each in listeners):  # nobody is told what they may not know by now
                _end(session, listeners, moment)
            ready = [each for each in listeners if not each.stream.closed and each.stream.pending < FULL]
            if not ready or min(each.told for each in ready) >= newest:
                return
            for place in sorted({each.told for each in ready}):
                rows = changes.after(session, place, now=moment, limit=AT_ONCE)
                for each in [one for one in ready if one.told == place]:
                    _tell(session, each, rows)


def _end(session: Session, listeners: list[Listener], moment: dt.datetime) -> None:
    """Streams of what would be refused by now, and of accounts that may know something else than when they began."""
    found = {each: each.whose(session, moment, "events.stream") for each in {one.credential for one in listeners}}
    for each in listeners:
        by = found[each.credential]
        if by is None or (by.projects, allows(by.role, ADMIN)) != (each.projects, each.everything):
            each.stream.send(b"event: bye\ndata: {}\n\n")
            each.stream.close()


def _tell(session: Session, listener: Listener, rows: list[Any]) -> None:
    wanted = [row for row in rows if changes.happened(row) and listener.wants(changes.name(row))]
    if listener.projects is not None:
        mine = _visible(session, listener.projects, {row.subject for row in wanted})
        wanted = [row for row in wanted if row.subject in mine]
    if wanted:
        listener.stream.send(b"".join(_event(changes.name(row), row.id, changes.wire(row)) for row in wanted))
    if rows:
        listener.told = rows[-1].id


def _visible(session: Session, projects: frozenset[str], names: set[str]) -> set[str]:
    """Of these machines those of somebody's projects; they hear of nothing else."""
    found = select(Machine.name).where(Machine.name.in_(names), Machine.project.in_(projects))
    return set(session.scalars(found))


def _event(name: str, number: int, body: dict[str, Any]) -> bytes:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


@bp.record_once
def _one_each(state: BlueprintSetupState) -> None:
    begin(state.app)


def begin(app: App) -> None:
    """Each application has its own feed, over its context's database."""
    app.extensions[FEED] = Feed(app.extensions["pxeapp"].database)


@bp.get("/events")
@bp.input(EventsQuery, location="query", arg_name="query")
@bp.doc(
    description="Server-sent events. Each has the change's number as its id, its name (`machine.deploy`, "
    "`machine.active`, `network.change`, ...) and the change as JSON, as webhooks have it. Reconnect with "
    "`Last-Event-ID`. A comment comes every 15 seconds. `bye` ends it when the token is not valid "
    "any more, or its account's role or projects are others: connect again."
)
def stream(query: EventsQuery) -> Response:
    """Listen to changes"""
    said = request.headers.get("Last-Event-ID", "")
    after = int(said) if said.isascii() and said.isdigit() and len(said) < 10 else query.after
    if after is None:
        with context().database.read() as session:
            after = changes.newest(session)
    feed: Feed = current_app.extensions[FEED]
    by = actor()
    listener: Listener
    made = Stream(owner=by.label, on_close=lambda: feed.watch.discard(listener))
    patterns = tuple(filter(None, (each.strip() for each in query.events.split(","))))
    listener = Listener(made, credential(), patterns, allows(by.role, ADMIN), by.projects, after)
    made.send(b"retry: 2000\n: listening\n\n")
    feed.watch.add(listener)
    return answer(made, request.environ)
