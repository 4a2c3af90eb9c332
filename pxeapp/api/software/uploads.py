"""`/software/uploads`: files come in piece by piece, and go on after a line that broke."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel, Field

from pxeapp.api.context import actor, context
from pxeapp.errors import Invalid
from pxeapp.software.content import uploads
from pxeapp.software.content.store import Store

bp = APIBlueprint("uploads", __name__, url_prefix="/api/v1/software", tag="Software")


class SizeQuery(BaseModel):
    """Which file of that name."""

    size: Annotated[int, Field(ge=1, le=uploads.MOST, description="Of the whole file, in bytes.")]


class UploadOut(BaseModel):
    """How far it is. `sha256` names the file once it is whole; what is not used within a day is removed."""

    name: str
    size: int
    received: int
    sha256: str


@bp.get("/uploads/<name>")
@bp.input(SizeQuery, location="query", arg_name="query")
def show(name: str, query: SizeQuery) -> dict[str, Any]:
    """How many bytes of your file are here: where to go on"""
    return asdict(uploads.so_far(_store(), name, query.size, owner=actor().label))


@bp.put("/uploads/<name>")
@bp.doc(
    description="One piece as it is, of at most 16 MiB, with `Content-Range: bytes START-END/SIZE`; without that "
    "header the body is the whole file. Pieces come in order; the answer to the last one has the file's SHA-256, "
    "by which an import or a repository takes it."
)
def put(name: str) -> dict[str, Any]:
    """Send a piece of a file"""
    length = request.content_length
    if length is None:
        raise Invalid("The request does not say how long its body is.", hint="Send Content-Length.")
    piece = uploads.content_range(request.headers.get("Content-Range", ""), length)
    # All of it, and not as it comes: for a request that may be repeated it was read to tell whether it is the same.
    return asdict(uploads.take(_store(), name, piece, [request.get_data()], owner=actor().label))


def _store() -> Store:
    return Store(context().settings.data_dir / "software")
