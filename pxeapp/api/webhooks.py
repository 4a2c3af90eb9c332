"""`/webhooks`: who is told of changes, what each was sent, and sending it again. For administrators."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, url_for
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import PageQuery, page
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.webhooks import service
from pxeapp.webhooks.models import Delivery, Webhook

bp = APIBlueprint("webhooks", __name__, url_prefix="/api/v1", tag="Webhooks")
Url = Annotated[str, Field(min_length=1, max_length=2000, description="http or https; redirects are not followed.")]
Events = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(max_length=50, description="machine.deploy, or machine.* for all of a kind; none: everything but accounts."),
]
Secret = Annotated[str, Field(max_length=200, description="Write-only. Left out: one is made, and shown once.")]


class WebhookChange(BaseModel):
    """What can be changed of a webhook; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    url: Url | None = None
    events: Events | None = None
    secret: Secret | None = None
    enabled: bool | None = None


class WebhookIn(BaseModel):
    """A new webhook."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern=service.NAME)]
    url: Url
    events: Events = []
    secret: Secret | None = None
    enabled: bool = True


class WebhookPut(BaseModel):
    """The whole webhook; its secret stays until another is sent. What a GET shows may stay in it."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = None
    url: Url
    events: Events = []
    secret: Secret | None = None
    enabled: bool = True
    problem: str | None = None
    failing_since: str | None = None
    version: int | None = None
    created_at: str | None = None
    updated_at: str | None = None

    def said(self) -> dict[str, Any]:
        """Without what nobody can set."""
        return self.model_dump(include={"url", "events", "secret", "enabled"})


class DeliveryQuery(PageQuery):
    """Narrow the list."""

    outcome: Literal["", "waiting", "delivered", "failed"] = ""


class WebhookOut(BaseModel):
    """A webhook; its secret only in the answer that makes it."""

    name: str
    url: str
    events: list[str]
    enabled: bool
    problem: str
    failing_since: str | None
    version: int
    created_at: str
    updated_at: str
    secret: str | None = Field(default=None, description="Only once, in the answer that made it.")


class ChangeOut(BaseModel):
    """A change, as webhooks and event streams tell it."""

    model_config = ConfigDict(extra="allow")
    id: int
    event: str
    at: str
    subject: str
    actor: str
    details: dict[str, Any]


class DeliveryOut(BaseModel):
    """What a webhook was sent."""

    id: int
    event: str
    body: ChangeOut
    outcome: Literal["waiting", "delivered", "failed"]
    attempts: int
    status: int | None
    problem: str
    created_at: str
    finished_at: str | None


@bp.get("/webhooks")
@bp.input(PageQuery, location="query", arg_name="query")
def listing(query: PageQuery) -> dict[str, Any]:
    """List webhooks"""
    with context().database.read() as session:
        rows = service.listing(session, after=query.after, limit=query.limit + 1)
        return page(rows, query.limit, service.wire, lambda row: row.name)


@bp.get("/webhooks/<name>")
def show(name: str) -> Response:
    """Show a webhook"""
    with context().database.read() as session:
        return etags.answer(service.wire(service.get(session, name)))


@bp.post("/webhooks")
@bp.input(WebhookIn, arg_name="said")
def create(said: WebhookIn) -> Response:
    """Add a webhook; a secret that is made here is shown once, in this answer"""
    with context().database.write() as session:
        return _create(session, said.model_dump())


@bp.patch("/webhooks/<name>")
@bp.input(WebhookChange, arg_name="said")
def change(name: str, said: WebhookChange) -> Response:
    """Change a webhook; enabling it again has it tried at once"""
    with context().database.write() as session:
        return _change(session, service.get(session, name, lock=True), said.model_dump(exclude_none=True))


@bp.put("/webhooks/<name>")
@bp.input(WebhookPut, arg_name="said")
def replace(name: str, said: WebhookPut) -> Response:
    """Have a webhook of this name, as it is sent: it is created, changed, or left alone"""
    with context().database.write() as session:
        try:
            row = service.get(session, name, lock=True)
        except NotFound:
            etags.check_new()
            return _create(session, {"name": name, **said.said()})
        return _change(session, row, said.said())


@bp.delete("/webhooks/<name>")
@bp.output({}, status_code=204)
def delete(name: str) -> str:
    """Remove a webhook"""
    with context().database.write() as session:
        row = service.get(session, name, lock=True)
        etags.check(service.wire(row))
        service.delete(session, row, actor=actor().label, now=now())
    return ""


@bp.post("/webhooks/<name>/test")
def test(name: str) -> Response:
    """Send something harmless"""
    with context().database.write() as session:
        row = service.get(session, name, lock=True)
        return _accepted(row, service.test(session, row, actor=actor().label, now=now()))


@bp.get("/webhooks/<name>/deliveries")
@bp.input(DeliveryQuery, location="query", arg_name="query")
def deliveries(name: str, query: DeliveryQuery) -> dict[str, Any]:
    """What it was sent in the last week, and what waits"""
    with context().database.read() as session:
        row = service.get(session, name)
        found = service.deliveries(session, row, after=query.after_id, limit=query.limit + 1, outcome=query.outcome)
        return page(found, query.limit, service.delivery_wire, lambda each: each.id)


@bp.get("/webhooks/<name>/deliveries/<int:number>")
def delivery(name: str, number: int) -> dict[str, Any]:
    """What became of one of them"""
    with context().database.read() as session:
        return service.delivery_wire(service.delivery(session, service.get(session, name), number))


@bp.post("/webhooks/<name>/deliveries/<int:number>/replay")
def replay(name: str, number: int) -> Response:
    """Send one of them again; it is the same change with the same id"""
    with context().database.write() as session:
        row = service.get(session, name, lock=True)
        return _accepted(row, service.replay(session, row, number, actor=actor().label, now=now()))


def _accepted(row: Webhook, sent: Delivery) -> Response:
    """202, and where to watch it."""
    answer = jsonify(service.delivery_wire(sent))
    answer.status_code = HTTPStatus.ACCEPTED
    answer.headers["Location"] = url_for("webhooks.delivery", name=row.name, number=sent.id)
    return answer


def _create(session: Session, said: dict[str, Any]) -> Response:
    own = context()
    row, secret = service.create(
        session, own.vault, own.settings.webhook_networks, said, actor=actor().label, now=now()
    )
    more = {"secret": secret} if secret else {}
    return etags.answer(service.wire(row), HTTPStatus.CREATED, **more)


def _change(session: Session, row: Webhook, said: dict[str, Any]) -> Response:
    own = context()
    etags.check(service.wire(row))
    service.change(session, own.vault, own.settings.webhook_networks, row, said, actor=actor().label, now=now())
    return etags.answer(service.wire(row))
