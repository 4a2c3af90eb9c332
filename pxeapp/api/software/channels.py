"""`/software/channels`: made, led back to where each led before, its history, and deleted."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page, part
from pxeapp.db import now
from pxeapp.rollouts import pinning
from pxeapp.software.snapshots import channels

bp = APIBlueprint("channels", __name__, url_prefix="/api/v1/software", tag="Software")
Name = Annotated[str, Field(max_length=63)]


class ChannelIn(BaseModel):
    """One more channel."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    before: Name = Field("", description="The channel that it stands before; empty: behind the last one.")


class RollbackIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(max_length=500)] = ""


class ChannelOut(BaseModel):
    """Served at /repo/channels/NAME; `published` lags behind `snapshot` for the moment that the exchange takes."""

    name: str
    position: int
    snapshot: str | None
    published: str | None
    moved_at: str | None


class MoveOut(BaseModel):
    """A line of a channel's history."""

    id: int
    at: str
    actor: str
    action: Literal["promote", "rollback"]
    snapshot: str
    digest: str
    before: str | None
    forced: bool
    reason: str


@bp.get("/channels")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """Channels in the order of promotion"""
    with context().database.read() as session:
        shown = [channels.wire(session, row) for row in channels.listing(session)]
        return part(shown, query, lambda each: each["name"])


@bp.post("/channels")
@bp.input(ChannelIn, arg_name="said")
def create(said: ChannelIn) -> Response:
    """One more channel, at the end or before another"""
    with context().database.write() as session:
        row = channels.create(session, said.name, before=said.before, actor=actor().label, now=now())
        answer = jsonify(channels.wire(session, row))
        answer.status_code = HTTPStatus.CREATED
        return answer


@bp.get("/channels/<name>")
def show(name: str) -> dict[str, Any]:
    """Where a channel leads"""
    with context().database.read() as session:
        return channels.wire(session, channels.get(session, name))


@bp.delete("/channels/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Delete a channel that nobody is pinned to, with its history"""
    with context().database.write() as session:
        channels.delete(session, name, held_by=pinning.held_by(session), actor=actor().label, now=now())
    return ""


@bp.get("/channels/<name>/history")
@bp.input(PageQuery, location="query", arg_name="query")
def history(name: str, query: PageQuery) -> dict[str, Any]:
    """Where a channel has led, who did that and why, the latest first"""
    with context().database.read() as session:
        rows = channels.history(session, name, before=query.after_id, limit=query.limit + 1)
        return page(rows, query.limit, channels.wire_move, lambda row: row.id)


@bp.post("/channels/<name>/rollback")
@bp.input(RollbackIn, arg_name="said")
def rollback(name: str, said: RollbackIn) -> dict[str, Any]:
    """Have it lead to what it led to before"""
    with context().database.write() as session:
        row = channels.rollback(session, name, reason=said.reason, actor=actor().label, now=now())
        return channels.wire(session, row)
