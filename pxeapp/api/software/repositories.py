"""`/software/repositories`: what this appliance publishes; `/software/signing-keys`: what it is signed with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, listed, page, part
from pxeapp.api.software.tasks import ordered
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.provisioning import repository_readers
from pxeapp.software.content import tree
from pxeapp.software.content.store import Store
from pxeapp.software.repositories import keys, publishing, service, signing

bp = APIBlueprint("repositories", __name__, url_prefix="/api/v1/software", tag="Software")
Word = Annotated[str, Field(max_length=63)]
Words = Annotated[list[Word], Field(max_length=20)]
Text = Annotated[str, Field(max_length=2000)]


class RepositoryQuery(PageQuery):
    """Narrow the list."""

    kind: Literal["deb", "rpm", ""] = ""
    origin: Literal["local", "mirror", ""] = ""


class RepositoryChange(BaseModel):
    """What can be changed of a local repository; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    description: Text | None = None
    suite: Word | None = Field(None, description="deb: what machines name behind the address; stable without it.")
    components: Words | None = Field(None, description="deb: main without it.")
    architectures: Words | None = Field(None, description="amd64, or x86_64, without it; all and noarch always fit.")


class RepositoryIn(RepositoryChange):
    """A new local repository."""

    name: Word
    kind: Literal["deb", "rpm"]


class RepositoryOut(BaseModel):
    """A repository. `problem` says why the last publication failed; what was published before is served."""

    name: str
    kind: Literal["deb", "rpm"]
    origin: Literal["local", "mirror"]
    description: str
    suite: str
    components: list[str]
    architectures: list[str]
    url: str
    source: str = Field(description="What a machine's own configuration says of it.")
    key: str = Field(description="Where the keys are that it is signed with.")
    packages: int
    bytes: int
    published_at: str | None
    problem: str
    version: int
    created_at: str
    updated_at: str


class PackageQuery(PageQuery):
    """Narrow the list."""

    search: Annotated[str, Field(max_length=200, description="Words, all of them in the name or the summary.")] = ""


class PackageFileOut(BaseModel):
    """A package file."""

    name: str
    version: str
    architecture: str
    source: str
    summary: str
    path: str
    sha256: str
    size: int


class PackageFileIn(BaseModel):
    """A file that was uploaded, see /software/uploads."""

    model_config = ConfigDict(extra="forbid")
    upload: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="Its SHA-256, as the upload's answer says.")]
    name: Annotated[
        str,
        Field(
            min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/\\]+$", description="The file's, for sentences."
        ),
    ]
    component: Word = Field("", description="deb: which one it belongs to; empty: the first.")


class PackagesIn(BaseModel):
    """Files to add and packages to remove, in one generation; one that is no good, and nothing is changed."""

    model_config = ConfigDict(extra="forbid")
    add: Annotated[list[PackageFileIn], Field(max_length=5000)] = []
    remove: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=5000)] = Field(
        [], description="Names, for all of their versions; or NAME=VERSION."
    )


class SigningKeyIn(BaseModel):
    """A new key, beside those in use."""

    model_config = ConfigDict(extra="forbid")
    owner: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9 .@_-]*$")] = Field(
        "", description="Whose it is said to be; empty: this appliance's."
    )


class SigningKeyOut(BaseModel):
    """A key's public half. A retired one signs nothing any more."""

    fingerprint: str
    owner: str
    public: str
    created_at: str
    retired_at: str | None


@bp.get("/repositories")
@bp.input(RepositoryQuery, location="query", arg_name="query")
def listing(query: RepositoryQuery) -> dict[str, Any]:
    """List repositories, mirrors too"""
    with context().database.read() as session:
        rows = service.listing(session, after=query.after, limit=query.limit + 1, kind=query.kind, origin=query.origin)
        return page(rows, query.limit, lambda row: service.wire(row, _node_url()), lambda row: row.name)


@bp.get("/repositories/<name>")
def show(name: str) -> Response:
    """Show a repository"""
    with context().database.read() as session:
        return etags.answer(service.wire(publishing.get(session, name), _node_url()))


@bp.post("/repositories")
@bp.input(RepositoryIn, arg_name="said")
def create(said: RepositoryIn) -> Response:
    """Add a local repository; a task publishes it, empty and signed, within moments"""
    with context().database.write() as session:
        row, _ = service.create(
            session, context().settings, said.model_dump(exclude_none=True), actor=actor().label, now=now()
        )
        return etags.answer(service.wire(row, _node_url()), HTTPStatus.CREATED)


@bp.patch("/repositories/<name>")
@bp.input(RepositoryChange, arg_name="said")
def change(name: str, said: RepositoryChange) -> Response:
    """Change a local repository; a task publishes it as it is then"""
    with context().database.write() as session:
        row = service.change(
            session, name, said.model_dump(exclude_none=True), agree=etags.check, actor=actor().label, now=now()
        )
        return etags.answer(service.wire(row, _node_url()))


@bp.delete("/repositories/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a local repository that nobody reads; snapshots keep what they hold of it"""
    settings = context().settings
    with context().database.write() as session:
        readers = repository_readers.readers(session, name, settings.node_url)
        service.remove(session, name, readers=readers, agree=etags.check, actor=actor().label, now=now())
    tree.withdraw(publishing.served_at(settings, name))
    return ""


@bp.get("/repositories/<name>/packages")
@bp.input(PackageQuery, location="query", arg_name="query")
def packages(name: str, query: PackageQuery) -> dict[str, Any]:
    """The packages that a repository holds"""
    with context().database.read() as session:
        row = publishing.get(session, name)
    found, following = service.packages(_store(), row, search=query.search, after=query.after, limit=query.limit)
    return listed([service.wire_package(each) for each in found], following or None)


@bp.post("/repositories/<name>/packages")
@bp.input(PackagesIn, arg_name="said")
def edit(name: str, said: PackagesIn) -> Response:
    """Add uploaded packages to a local repository, and remove others, in one generation"""
    store = _store()
    if lost := [each.name for each in said.add if not store.has(each.upload)]:
        raise NotFound(f"{lost[0]} has not been sent, or too long ago.", hint="Send it again: /software/uploads.")
    add = [{"sha256": each.upload, "name": each.name, "component": each.component} for each in said.add]
    with context().database.write() as session:
        return ordered(service.edit(session, name, add=add, remove=said.remove, actor=actor().label, now=now()))


@bp.post("/repositories/<name>/publish")
def publish(name: str) -> Response:
    """Make and sign a repository's index anew, of the same packages"""
    with context().database.write() as session:
        return ordered(service.republish(session, name, actor=actor().label, now=now()))


@bp.get("/signing-keys")
@bp.input(PageQuery, location="query", arg_name="query")
def list_keys(query: PageQuery) -> dict[str, Any]:
    """The keys that repositories are and were signed with, the oldest first"""
    with context().database.read() as session:
        return part([keys.wire(row) for row in signing.every(session)], query, lambda each: each["fingerprint"])


@bp.post("/signing-keys")
@bp.input(SigningKeyIn, arg_name="said")
def add_key(said: SigningKeyIn) -> Response:
    """Make a key that signs beside those in use, and sign every repository anew"""
    with context().database.write() as session:
        return ordered(keys.add(session, owner=said.owner, actor=actor().label, now=now()))


@bp.post("/signing-keys/<fingerprint>/retire")
def retire_key(fingerprint: str) -> Response:
    """Have a key sign nothing from now on, and sign every repository anew without it"""
    with context().database.write() as session:
        return ordered(keys.retire(session, fingerprint, actor=actor().label, now=now()))


def _node_url() -> str:
    return context().settings.node_url


def _store() -> Store:
    return Store(context().settings.data_dir / "software")
