"""`/software/upstreams`: the mirrors that the cache pulls through, how each is kept, and what machines asked of it."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, listed
from pxeapp.api.software.choices import RoleIn, SourceIn, Word
from pxeapp.api.software.tasks import ordered
from pxeapp.db import now
from pxeapp.software.cache import configured, purging, seeding, service, statistics
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.models import UpstreamState
from pxeapp.software.mirrors import service as mirrors

bp = APIBlueprint("upstreams", __name__, url_prefix="/api/v1/software", tag="Software")
Url = Annotated[str, Field(max_length=500, description="http or https; empty: the default's, where there is one.")]
Kind = Annotated[Literal["apt", "yum"], Field(description="What it is; indexes of both are recognised anyway.")]
MaxBytes = Annotated[
    int, Field(ge=service.LEAST_BYTES, le=service.MOST_BYTES, description="Of its packages in the cache.")
]
Freshness = Annotated[
    int,
    Field(ge=0, le=service.MOST_FRESHNESS_S, description="How old an index may be before the upstream is asked again."),
]
Offline = Annotated[bool, Field(description="Serve what is here, and ask nothing.")]
Keep = Annotated[bool, Field(description="Keep packages in the cache; off: pass them through.")]
Aliases = Annotated[
    list[Annotated[str, Field(max_length=300)]],
    Field(max_length=service.MOST_ALIASES, description="HOST/PATH for which the proxy answers, too."),
]
Keyring = Annotated[
    str, Field(max_length=255, description="A file on the appliance that Release files must be signed by a key of.")
]


class UpstreamChange(BaseModel):
    """What can be changed of an upstream; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    url: Url | None = None
    kind: Kind | None = None
    max_bytes: MaxBytes | None = None
    freshness_s: Freshness | None = None
    offline: Offline | None = None
    keep_packages: Keep | None = None
    aliases: Aliases | None = None
    keyring: Keyring | None = None


class UpstreamIn(UpstreamChange):
    """A new upstream, or what is to hold for one of the settings."""

    name: Annotated[str, Field(pattern=service.NAME)]


class SeedSourceIn(SourceIn):
    """Where packages come from."""


class SeedRoleIn(RoleIn):
    """A role whose packages are seeded."""


class SeedIn(BaseModel):
    """What an installation is going to ask for; without sources those of the release at this upstream."""

    model_config = ConfigDict(extra="forbid")
    release: Word = Field("", description="For whose machines it is: debian-13; a release's name or a system's.")
    kind: Literal["deb", "rpm", ""] = ""
    family: Literal["debian", "ubuntu", "el", ""] = ""
    sources: Annotated[list[SeedSourceIn], Field(max_length=50)] = []
    architectures: Annotated[list[Word], Field(max_length=20)] = []
    packages: Annotated[list[Word], Field(max_length=10_000)] = Field([], description="With what they need.")
    definitions: Annotated[list[Word], Field(max_length=100)] = []
    roles: Annotated[list[SeedRoleIn], Field(max_length=100)] = []
    recommends: bool = False
    base: bool = Field(default=False, description="What every installed system has.")
    installer: bool = Field(default=False, description="Kernel, boot loaders, and the installer's own components.")


class PurgeIn(BaseModel):
    """What is thrown away, so that the next request fetches it anew."""

    model_config = ConfigDict(extra="forbid")
    path: Annotated[str, Field(min_length=1, max_length=purging.LONGEST)] = Field(
        description="Below the upstream: a file, or a folder with a slash at its end; / is everything."
    )


class PurgeOut(BaseModel):
    """What went. An index goes with its whole set; the second time nothing is there."""

    name: str
    path: str
    files: int
    bytes: int
    sets: list[str] = Field(description="The roots of the index sets that went.")


class UpstreamSetOut(BaseModel):
    """An index set that is here: a Release file or repomd.xml, with the indexes of it that were asked for."""

    root: str
    kind: Literal["apt", "yum"]
    dated: str | None = Field(description="When the upstream made it.")
    changed_at: str = Field(description="Since when it is served.")
    checked_at: str | None = Field(description="When the upstream last said that it is the newest.")
    indexes: int
    bytes: int
    problem: str


class UpstreamOut(BaseModel):
    """An upstream as it is now. `problem` says what is wrong with it; what was there before is still served."""

    name: str
    url: str
    origin: Literal["settings", "host", "operator"]
    kind: Literal["apt", "yum"]
    max_bytes: int
    freshness_s: int
    offline: bool
    keep_packages: bool
    aliases: list[str]
    keyring: str
    version: int
    mirrors: list[str] = Field(description="Those that read it; from a new address with their next sync.")
    problem: str
    sets: list[UpstreamSetOut]


class UpstreamDayOut(BaseModel):
    """What was asked of it in a day. Hits came from the cache, misses from the upstream."""

    day: str
    requests: int
    hits: int
    misses: int
    index_hits: int
    index_misses: int
    bytes_from_cache: int
    bytes_from_upstream: int
    errors: int
    absent: int


class UpstreamMissingOut(BaseModel):
    """A file that could not be given: the upstream has none, it is offline here, or it did not answer."""

    path: str
    why: Literal["absent", "offline", "upstream"]
    count: int
    last_at: str


class UpstreamStatisticsOut(BaseModel):
    """Sums of the last days, each day, and what was missing, the most asked for first."""

    name: str
    days: int
    requests: int
    hits: int
    misses: int
    index_hits: int
    index_misses: int
    bytes_from_cache: int
    bytes_from_upstream: int
    errors: int
    absent: int
    by_day: list[UpstreamDayOut]
    missing: list[UpstreamMissingOut]


class DaysQuery(BaseModel):
    """Of how many days, today included."""

    days: Annotated[int, Field(ge=1, le=statistics.KEPT_DAYS)] = 7


@bp.get("/upstreams")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """List upstreams, those of the settings too"""
    with context().database.read() as session:
        known = configured.effective(session, context().settings)
        names = [name for name in sorted(known) if name > query.after][: query.limit + 1]
        shown = [shown_with_state(session, known[name]) for name in names[: query.limit]]
    return listed(shown, names[query.limit - 1] if len(names) > query.limit else None)


@bp.get("/upstreams/<name>")
def show(name: str) -> Response:
    """Show an upstream"""
    with context().database.read() as session:
        return _answer(session, name)


@bp.post("/upstreams")
@bp.input(UpstreamIn, arg_name="said")
def create(said: UpstreamIn) -> Response:
    """Add an upstream; the front serves it within seconds"""
    own = context()
    with own.database.write() as session:
        service.create(session, own.settings, said.model_dump(exclude_none=True), actor=actor().label, now=now())
        return _answer(session, said.name, HTTPStatus.CREATED)


@bp.patch("/upstreams/<name>")
@bp.input(UpstreamChange, arg_name="said")
def change(name: str, said: UpstreamChange) -> Response:
    """Change an upstream, one of the settings too; the front follows within seconds

    Packages that are cached of a former address are not served any more; mirrors read the new one with their next sync.
    """
    own = context()
    with own.database.write() as session:
        etags.check(service.get(session, own.settings, name).wire())
        values = said.model_dump(exclude_none=True)
        service.change(session, own.settings, name, values, actor=actor().label, now=now())
        return _answer(session, name)


@bp.delete("/upstreams/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Forget an upstream with what was counted; one of the settings is what it was before"""
    own = context()
    with own.database.write() as session:
        etags.check(service.get(session, own.settings, name).wire())
        service.delete(session, own.settings, name, actor=actor().label, now=now())
    return ""


@bp.get("/upstreams/<name>/statistics")
@bp.input(DaysQuery, location="query", arg_name="query")
def show_statistics(name: str, query: DaysQuery) -> dict[str, Any]:
    """What machines asked of an upstream, what the cache spared it, and what was missing"""
    with context().database.read() as session:
        service.get(session, context().settings, name)
        return statistics.of(session, name, days=query.days, now=now())


@bp.post("/upstreams/<name>/seed")
@bp.input(SeedIn, arg_name="said")
def seed(name: str, said: SeedIn) -> Response:
    """Have packages with what they need fetched into the cache, so that they can be installed offline"""
    own = context()
    with own.database.write() as session:
        known = configured.effective(session, own.settings)
        service.get(session, own.settings, name)
        return ordered(seeding.order(session, known, name, said.model_dump(), actor=actor().label, now=now()))


@bp.post("/upstreams/<name>/purge")
@bp.input(PurgeIn, arg_name="said")
def purge(name: str, said: PurgeIn) -> dict[str, Any]:
    """Throw a file of the cache away, or all below a folder, so that the next request fetches it anew"""
    own = context()
    return purging.purge(own.database, own.settings, name, said.path, actor=actor().label, now=now())


def shown_with_state(session: Session, known: Configured) -> dict[str, Any]:
    """An upstream with what the front sees of it."""
    state = session.get(UpstreamState, known.name)
    return {
        **known.wire(),
        "mirrors": mirrors.readers(session).get(known.name, []),
        "problem": state.problem if state else "",
        "sets": [_set(each) for each in state.sets] if state else [],
    }


def _answer(session: Session, name: str, status: int = HTTPStatus.OK) -> Response:
    return etags.moving(shown_with_state(session, service.get(session, context().settings, name)), status)


def _set(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "root": said["root"],
        "kind": said["kind"],
        "dated": _moment(said["dated"]),
        "changed_at": _moment(said["changed"]),
        "checked_at": _moment(said["checked"]),
        "indexes": said["indexes"],
        "bytes": said["bytes"],
        "problem": said["problem"],
    }


def _moment(seconds: float | None) -> str | None:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat() if seconds else None
