"""`/templates`: a site's own templates, with their versions; ours can be read and replaced, never changed."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.answers import site_templates
from pxeapp.answers.models import TemplateVersion
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import Page, PageQuery, part
from pxeapp.db import now
from pxeapp.errors import NotFound

bp = APIBlueprint("templates", __name__, url_prefix="/api/v1", tag="Templates")


class TemplateIn(BaseModel):
    """The whole text, and why it is changed."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(max_length=1024 * 1024)]
    comment: Annotated[str, Field(max_length=site_templates.LONGEST_COMMENT)] = ""


class RollbackIn(BaseModel):
    """Which version is to count again."""

    model_config = ConfigDict(extra="forbid")
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class TemplateOut(BaseModel):
    """A template as it counts now; `ours` is what we would give in its place."""

    path: str
    of: str
    text: str
    ours: str | None
    latest: int


class TemplateRowOut(BaseModel):
    """A template without its text; what is said of its last version is null where the site never had its own."""

    path: str
    of: str
    replaces_ours: bool
    version: int | None
    author: str | None
    at: str | None


class TemplateVersionOut(BaseModel):
    """A version; `text` is null where the site's own was taken away."""

    version: int
    text: str | None
    sha256: str
    author: str
    at: str
    comment: str


@bp.get("/templates")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: PageQuery) -> dict[str, Any]:
    """Every template: ours, and the site's own"""
    with context().database.read() as session:
        return part(site_templates.listing(session, context().templates), query, lambda each: each["path"])


@bp.get("/templates/<path:path>")
@bp.output(TemplateOut)
def show(path: str) -> Response:
    """A template as it counts now"""
    with context().database.read() as session:
        return etags.answer(site_templates.shown(session, context().templates, path))


@bp.put("/templates/<path:path>")
@bp.input(TemplateIn, arg_name="said")
@bp.output(TemplateOut)
def save(path: str, said: TemplateIn) -> Response:
    """Save the site's own template of this name; it counts on every host within seconds"""
    own = context()
    with own.database.write() as session:
        _check(session, path, creates=True)
        site_templates.save(
            session, own.templates, path, said.text, author=actor().label, comment=said.comment, now=now()
        )
    return _brought(path)


@bp.delete("/templates/<path:path>")
@bp.output({}, status_code=204)
def delete(path: str) -> str:
    """Take the site's own away, so that ours counts again; its versions stay"""
    own = context()
    with own.database.write() as session:
        _check(session, path)
        site_templates.delete(session, own.templates, path, author=actor().label, now=now())
    site_templates.bring(own.database, own.settings.templates_dir)
    return ""


@bp.get("/templates/<path:path>/versions")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def versions(path: str, query: PageQuery) -> dict[str, Any]:
    """All versions of a template, the newest first"""
    with context().database.read() as session:
        return part([wire(row) for row in site_templates.versions(session, path)], query, lambda each: each["version"])


@bp.post("/templates/<path:path>/rollback")
@bp.input(RollbackIn, arg_name="said")
@bp.output(TemplateOut)
def rollback(path: str, said: RollbackIn) -> Response:
    """Make an earlier version the newest"""
    own = context()
    with own.database.write() as session:
        _check(session, path)
        site_templates.rollback(session, own.templates, path, said.version, author=actor().label, now=now())
    return _brought(path)


def wire(row: TemplateVersion) -> dict[str, Any]:
    """A version on the wire; `text` is null where the site's own was taken away."""
    return {
        "version": row.number,
        "text": row.content,
        "sha256": row.sha256,
        "author": row.author,
        "at": row.at.isoformat(),
        "comment": row.comment,
    }


def _check(session: Any, path: str, *, creates: bool = False) -> None:
    """If-Match, against the template as it is; where there is none, nothing but a PUT makes one."""
    try:
        present = site_templates.shown(session, context().templates, path)
    except NotFound:
        if creates:
            etags.check_new()
    else:
        etags.check(present)


def _brought(path: str) -> Response:
    own = context()
    site_templates.bring(own.database, own.settings.templates_dir)
    with own.database.read() as session:
        try:
            return etags.answer(site_templates.shown(session, own.templates, path))
        except NotFound:  # gone back to a version in which there was none, and we have none of this name
            return etags.answer({"path": path, "of": "none", "text": "", "ours": None, "latest": 0})
