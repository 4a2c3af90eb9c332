"""Snapshots and channels: what each holds and who holds it, the forms that take and promote one, and differences."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import ADMIN, verdict
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import Forbidden, NotFound, PxeError
from pxeapp.rollouts import pinning
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.content.store import Store
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import channels, comparing, service, uses, verifying
from pxeapp.software.snapshots.difference import Difference
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.software.snapshots.pins import CHANNEL, Pin
from pxeapp.software.tasks import service as tasks
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field, in_full
from pxeapp.ui.software.tasks import task_line

PAGE = 50
USES = 20
MOST_CHANGES = 2000  # on a page; the whole is in `pxeapp snapshot diff` and the API


@bp.get("/software/snapshots")
def snapshots() -> ResponseReturnValue:
    """Channels and snapshots."""
    return _page({})


@bp.get("/software/snapshots/part")
def snapshots_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_snapshots.html", **_list())


@bp.post("/software/snapshots")
def take_snapshot() -> ResponseReturnValue:
    """Keep the repositories as they are now."""
    form: dict[str, Any] = {name: request.form.get(name, "").strip() for name in ("name", "description")}
    form["repositories"] = request.form.getlist("repositories")
    try:
        with context().database.write() as session:
            service.take(
                session, form["name"], repositories=form["repositories"], description=form["description"][:2000],
                actor=actor().label, now=now(),
            )  # fmt: skip
    except PxeError as error:
        return _page(form, problem=in_full(error), errors=by_field(error)), error.status
    return redirect(url_for("ui.snapshot", name=form["name"]), HTTPStatus.SEE_OTHER)


@bp.post("/software/channels/<name>/rollback")
def roll_channel_back(name: str) -> ResponseReturnValue:
    """Have a channel lead to what it led to before."""
    try:
        with context().database.write() as session:
            channels.rollback(session, name, reason=request.form.get("reason", ""), actor=actor().label, now=now())
    except PxeError as error:
        return _page({}, problem=in_full(error)), error.status
    return redirect(url_for("ui.snapshots"), HTTPStatus.SEE_OTHER)


@bp.get("/software/channels/<name>")
def channel(name: str) -> ResponseReturnValue:
    """The history of a channel."""
    return _channel(name)


@bp.post("/software/channels/<name>/delete")
def delete_channel(name: str) -> ResponseReturnValue:
    """Serve it no longer."""
    try:
        with context().database.write() as session:
            channels.delete(session, name, held_by=pinning.held_by(session), actor=actor().label, now=now())
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return _channel(name, problem=in_full(error)), error.status
    return redirect(url_for("ui.snapshots"), HTTPStatus.SEE_OTHER)


@bp.get("/software/snapshots/<name>")
def snapshot(name: str) -> ResponseReturnValue:
    """One snapshot, and how it differs from what is chosen."""
    return render_template("software/snapshot.html", problem="", **_one(name))


@bp.get("/software/snapshots/<name>/part")
def snapshot_part(name: str) -> ResponseReturnValue:
    """The part of its page that changes."""
    return render_template("software/_snapshot.html", **_one(name, compared=False))


@bp.post("/software/snapshots/<name>/<verb>")
def control_snapshot(name: str, verb: str) -> ResponseReturnValue:
    """One of VERBS."""
    if verb not in VERBS:
        raise NotFound("There is no such page.")
    method = "DELETE" if verb == "delete" else "POST"
    if refused := verdict(actor(), f"snapshots.{verb}", method):
        raise Forbidden(refused)
    try:
        with context().database.write() as session:
            VERBS[verb](session, name)
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return render_template("software/snapshot.html", problem=in_full(error), **_one(name)), error.status
    if verb == "delete":
        return redirect(url_for("ui.snapshots"), HTTPStatus.SEE_OTHER)
    return redirect(url_for("ui.snapshot", name=name), HTTPStatus.SEE_OTHER)


def _promote(session: Session, name: str) -> None:
    force = bool(request.form.get("force"))
    if force and actor().role != ADMIN:
        raise Forbidden("Only an admin may promote against the order of channels.")
    channels.promote(
        session, name, request.form.get("to", ""), force=force, reason=request.form.get("reason", ""),
        needed=list(pinning.holders(session)), actor=actor().label, now=now(),
    )  # fmt: skip


def _verify(session: Session, name: str) -> None:
    service.get(session, name)
    tasks.order(session, verifying.VERIFY, name, {}, actor=actor().label, now=now())


def _delete(session: Session, name: str) -> None:
    service.delete(session, name, held_by=pinning.held_by(session), actor=actor().label, now=now())


VERBS: dict[str, Callable[[Session, str], None]] = {"promote": _promote, "verify": _verify, "delete": _delete}


def _channel(name: str, *, problem: str = "") -> str:
    with context().database.read() as session:
        row = channels.wire(session, channels.get(session, name))
        readers = {str(each) for each in pinning.held_by(session) if each.pin == Pin(name, channel=True)}
        return render_template(
            "software/channel.html", channel=row, moves=channels.history(session, name, limit=200), problem=problem,
            readers=sorted(readers), may_delete=not verdict(actor(), "channels.delete", "DELETE"),
        )  # fmt: skip


def _page(form: dict[str, Any], *, problem: str = "", errors: dict[str, str] | None = None) -> str:
    with context().database.read() as session:
        published = select(SoftwareRepository.name).where(SoftwareRepository.manifest != "")
        names = list(session.scalars(published.order_by(SoftwareRepository.name)))
    return render_template(
        "software/snapshots.html", problem=problem, errors=errors or {}, form=form, repositories=names, **_list()
    )


def _list() -> dict[str, Any]:
    after = request.args.get("after", "")
    with context().database.read() as session:
        rows = service.listing(session, after=after, limit=PAGE + 1)
        leading = channels.listing(session)
        held = pinning.holders_of(session)
        return {
            "after": after,
            "next": rows[PAGE - 1].name if len(rows) > PAGE else "",
            "channels": [{**channels.wire(session, row), "moved": row.updated_at} for row in leading],
            "snapshots": [
                {**_line(row), "channels": _leading(leading, row.name), "held_by": held.get(row.name, [])}
                for row in rows[:PAGE]
            ],
            "may_take": not verdict(actor(), "snapshots.create", "POST"),
            "may_move": not verdict(actor(), "channels.rollback", "POST"),
        }


def _one(name: str, *, compared: bool = True) -> dict[str, Any]:
    other = request.args.get("to", "")
    found: list[Difference] = []
    complaint = ""
    with context().database.read() as session:
        row = service.get(session, name)
        leading = channels.listing(session)
        if other and compared:
            try:
                found = comparing.compare(session, Store(context().settings.data_dir / "software"), name, other)
            except PxeError as error:
                complaint = in_full(error)
        last = tasks.listing(session, limit=1, kind=verifying.VERIFY, subject=name)
        return {
            "snapshot": {
                **_line(row),
                "channels": _leading(leading, name),
                "held_by": pinning.holders_of(session).get(name, []),
            },
            "address": f"{context().settings.node_url}/repo/snapshots/{name}/",
            "task": task_line(last[0]) if last else None,
            "uses": [{**uses.wire(each), "at": each.at} for each in uses.listing(session, name, limit=USES)],
            "others": _others(session, name, [each.name for each in leading if each.snapshot]),
            "to": other,
            "compared": found,
            "complaint": complaint,
            "too_many": sum(len(each.changes) for each in found) > MOST_CHANGES,
            "all_channels": [each.name for each in leading],
            "may_promote": not verdict(actor(), "snapshots.promote", "POST"),
            "may_force": actor().role == ADMIN,
            "may_verify": not verdict(actor(), "snapshots.verify", "POST"),
            "may_delete": not verdict(actor(), "snapshots.delete", "DELETE"),
        }


def _others(session: Session, name: str, leading: list[str]) -> list[str]:
    rows = service.listing(session, limit=200)
    return [comparing.NOW, *(f"{CHANNEL}{each}" for each in leading), *(row.name for row in rows if row.name != name)]


def _leading(rows: Any, name: str) -> list[str]:
    return [row.name for row in rows if name in (row.snapshot, row.published)]


def _line(row: Snapshot) -> dict[str, Any]:
    found = service.wire(row)
    parts = [{**each, "size": size_shown(each["bytes"])} for each in found["repositories"]]
    return {**found, "repositories": parts, "size": size_shown(found["bytes"]), "at": row.taken_at}
