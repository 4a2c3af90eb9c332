"""`/software/snapshots`: repositories as they were at one moment; taken, compared, verified, promoted, deleted."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import ADMIN
from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.api.software.tasks import ordered
from pxeapp.db import now
from pxeapp.errors import Forbidden
from pxeapp.rollouts import pinning
from pxeapp.software.content.store import Store
from pxeapp.software.snapshots import channels, comparing, service, uses, verifying
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.software.tasks import service as tasks

bp = APIBlueprint("snapshots", __name__, url_prefix="/api/v1/software", tag="Software")
Name = Annotated[str, Field(max_length=63)]
Pin = Annotated[str, Field(max_length=80)]


class SnapshotIn(BaseModel):
    """What is kept: every repository that is published, unless some are named."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    description: Annotated[str, Field(max_length=2000)] = ""
    repositories: Annotated[list[Name], Field(max_length=1000)] = []


class PromoteIn(BaseModel):
    """Where to: the channel after the last that leads to it, unless one is named."""

    model_config = ConfigDict(extra="forbid")
    to: Name = ""
    force: bool = Field(default=False, description="Though it was never in the channel before; admins, with a reason.")
    reason: Annotated[str, Field(max_length=500)] = ""


class DifferenceQuery(BaseModel):
    """What it is compared with."""

    to: Pin = Field("now", description="Another snapshot, channel:NAME, or `now`: the repositories as they are.")
    repository: Annotated[str, Field(max_length=63)] = Field("", description="Only this one.")


class SnapshotRepositoryOut(BaseModel):
    """A repository of a snapshot, served at /repo/snapshots/SNAPSHOT/NAME."""

    name: str
    kind: Literal["deb", "rpm"]
    description: str
    suite: str
    components: list[str]
    architectures: list[str]
    manifest: str
    packages: str
    package_count: int
    bytes: int


class SnapshotOut(BaseModel):
    """A snapshot. It is served once `published_at` is not null. `digest` is over everything that is in it."""

    name: str
    digest: str
    description: str
    origin: str
    taken_by: str
    taken_at: str
    published_at: str | None
    repositories: list[SnapshotRepositoryOut]
    package_count: int
    bytes: int
    channels: list[str]
    held_by: list[str]


class PackageChangeOut(BaseModel):
    """A package that differs. `altered`: other content under the same version."""

    kind: Literal["altered", "downgraded", "removed", "upgraded", "added"]
    name: str
    arch: str
    old: str
    new: str


class SourceChangesOut(BaseModel):
    """What differs of one source package."""

    source: str
    changes: list[PackageChangeOut]


class AdvisoryOut(BaseModel):
    """An advisory that only the later side has."""

    name: str
    kind: str
    severity: str
    title: str
    packages: list[str]
    references: list[str]


class RepositoryDifferenceOut(BaseModel):
    """Of one repository. Without `advisories_known` its metadata tell of none, whether there are any or not."""

    repository: str
    status: Literal["added", "removed", "changed", "same"]
    counts: dict[str, int]
    sources: list[SourceChangesOut]
    advisories: list[AdvisoryOut]
    advisories_known: bool


class DifferenceOut(BaseModel):
    """From one side to the other, by repository."""

    old: str
    new: str
    items: list[RepositoryDifferenceOut]


class UseOut(BaseModel):
    """Somebody was given it: `subject` is deployment:NUMBER or rollout:NUMBER."""

    id: int
    subject: str
    machine: str
    at: str
    pin: str
    snapshot: str
    digest: str


@bp.get("/snapshots")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """Snapshots by name, each with who holds it"""
    with context().database.read() as session:
        rows = service.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, _shown(session), lambda row: row.name)


@bp.post("/snapshots")
@bp.input(SnapshotIn, arg_name="said")
def create(said: SnapshotIn) -> Response:
    """Take a snapshot; the same again under the same name is the one that is there"""
    with context().database.write() as session:
        row = service.take(
            session, said.name, repositories=said.repositories, description=said.description, actor=actor().label,
            now=now(),
        )  # fmt: skip
        answer = jsonify(_shown(session)(row))
        answer.status_code = HTTPStatus.CREATED
        return answer


@bp.get("/snapshots/<name>")
def show(name: str) -> dict[str, Any]:
    """A snapshot, its repositories, and who holds it"""
    with context().database.read() as session:
        return _shown(session)(service.get(session, name))


@bp.get("/snapshots/<name>/difference")
@bp.input(DifferenceQuery, location="query", arg_name="query")
def difference(name: str, query: DifferenceQuery) -> dict[str, Any]:
    """What another snapshot, a channel, or the repositories now have that this one has not, and the other way round"""
    only = [query.repository] if query.repository else []
    with context().database.read() as session:
        found = comparing.compare(session, _store(), name, query.to, repositories=only)
    return {"old": name, "new": query.to, "items": [each.wire() for each in found]}


@bp.get("/snapshots/<name>/uses")
@bp.input(PageQuery, location="query", arg_name="query")
def list_uses(name: str, query: PageQuery) -> dict[str, Any]:
    """Which deployments and rollouts were given it, the latest first"""
    with context().database.read() as session:
        rows = uses.listing(session, name, before=query.after_id, limit=query.limit + 1)
        return page(rows, query.limit, uses.wire, lambda row: row.id)


@bp.post("/snapshots/<name>/verify")
def verify(name: str) -> Response:
    """Hash everything that is served of it"""
    with context().database.write() as session:
        service.get(session, name)
        return ordered(tasks.order(session, verifying.VERIFY, name, {}, actor=actor().label, now=now()))


@bp.post("/snapshots/<name>/promote")
@bp.input(PromoteIn, arg_name="said")
def promote(name: str, said: PromoteIn) -> dict[str, Any]:
    """Have the next channel lead to it"""
    if said.force and actor().role != ADMIN:
        raise Forbidden("Only an admin may promote against the order of channels.")
    with context().database.write() as session:
        row = channels.promote(
            session, name, said.to, force=said.force, reason=said.reason, needed=list(pinning.holders(session)),
            actor=actor().label, now=now(),
        )  # fmt: skip
        return channels.wire(session, row)


@bp.delete("/snapshots/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Delete a snapshot that nobody is pinned to; its name is never used for another one"""
    with context().database.write() as session:
        service.delete(session, name, held_by=pinning.held_by(session), actor=actor().label, now=now())
    return ""


def _shown(session: Session) -> Callable[[Snapshot], dict[str, Any]]:
    """A function that shows one, so that who holds what is asked once for all."""
    leading: dict[str, list[str]] = {}
    for channel in channels.listing(session):
        for name in {channel.snapshot, channel.published} - {None}:
            leading.setdefault(str(name), []).append(channel.name)
    held = pinning.holders_of(session)

    def shown(row: Snapshot) -> dict[str, Any]:
        return {
            **service.wire(row),
            "channels": leading.get(row.name, []),
            "held_by": sorted(set(held.get(row.name, []))),
        }

    return shown


def _store() -> Store:
    return Store(context().settings.data_dir / "software")
