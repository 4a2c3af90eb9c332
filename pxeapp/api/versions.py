"""`/{networks,releases,roles,clusters}/NAME/versions`: who made it what it is, and going back to what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from pxeapp import versions
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, part
from pxeapp.db import now
from pxeapp.versions import Version

if TYPE_CHECKING:
    from pxeapp.provisioning.members import Agree

ONE = "/{kind}/<name>/versions/<int:number>"


class RestoreIn(BaseModel):
    """Why it goes back."""

    model_config = ConfigDict(extra="forbid")
    comment: Annotated[str, Field(max_length=versions.LONGEST_COMMENT)] = ""


class VersionRowOut(BaseModel):
    """A version: `action` says what somebody did, `deleted` that it was not there from then on."""

    number: int
    author: str
    at: str
    action: str
    comment: str
    deleted: bool


class VersionOut(VersionRowOut):
    """The same with what it said, secrets masked; null where it was deleted."""

    body: dict[str, Any] | None


def routes(bp: APIBlueprint, kind: str, out: type[BaseModel]) -> None:
    """Add them for one kind of thing, which a restore answers with as a change of it does."""

    @bp.get(f"/{kind}/<name>/versions", endpoint="versions")
    @bp.input(PageQuery, location="query", arg_name="query")
    @bp.output(Page)
    def _versions(name: str, query: PageQuery) -> dict[str, Any]:
        """List its versions, the newest first; also of what is deleted"""
        with context().database.read() as session:
            rows = versions.listing(session, kind, name)
            if not rows:
                from pxeapp.provisioning import rollback  # cost: as below

                rollback.KINDS[kind].shown(session, name)  # there, and not changed since versions are kept; or a 404
            return part([versions.wire(row) for row in rows], query, lambda each: each["number"])

    @bp.get(ONE.format(kind=kind), endpoint="version")
    @bp.output(VersionOut)
    def _version(name: str, number: int) -> dict[str, Any]:
        """Show a version; secrets are masked"""
        with context().database.read() as session:
            return wire(kind, versions.get(session, kind, name, number))

    @bp.post(f"{ONE.format(kind=kind)}/restore", endpoint="restore")
    @bp.input(RestoreIn, arg_name="said")
    @bp.output(out)
    def _restore(name: str, number: int, said: RestoreIn) -> Response:
        """Go back to a version: everything as a change by hand, and of its secrets what they were then"""
        return etags.answer(restored(kind, name, number, agree=etags.check, comment=said.comment))


def restored(
    kind: str,
    name: str,
    number: int,
    *,
    agree: Agree,
    agree_new: Callable[[], None] = etags.check_new,
    comment: str,
) -> dict[str, Any]:
    """Go back for whoever is asking; `agree` is told what there is now, `agree_new` that it is not there."""
    from pxeapp.provisioning import rollback  # cost: a list of releases needs nothing that a change of one is held to

    own = context()
    step = rollback.Step(own.vault, own.templates, agree, agree_new, actor().label, now())
    return rollback.restore(own.database, own.settings, step, kind, name, number, comment=comment)


def wire(kind: str, row: Version) -> dict[str, Any]:
    """A version with what it said."""
    from pxeapp.provisioning import rollback  # cost: as above

    body = rollback.KINDS[kind].body_shown(row.body) if row.body is not None else None
    return {**versions.wire(row), "body": body}
