"""The pages: machines and their timelines, live. Server-rendered; htmx fetches the parts that change."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Blueprint, current_app, g, redirect, render_template, request, send_from_directory, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from pxeapp.accounts import service
from pxeapp.api.context import context
from pxeapp.api.guard import csrf_token
from pxeapp.db import now
from pxeapp.errors import NotFound, PxeError
from pxeapp.machines import selectors
from pxeapp.machines.models import Event, Machine
from pxeapp.machines.selectors import Filter
from pxeapp.provisioning import explain, steps
from pxeapp.provisioning.models import Deployment
from pxeapp.ui.sign_in_limit import SignInLimit

bp = Blueprint("ui", __name__)
PAGE = 100
EVENTS_SHOWN = 200
ASSETS = ("static", "vendor")
limit = SignInLimit()


@bp.app_context_processor
def _common() -> dict[str, Any]:
    """What every page may use."""
    return {"csrf_token": csrf_token, "actor": g.get("actor"), "steps": steps.ORDER}


@bp.app_template_filter("ago")
def ago(moment: dt.datetime | None) -> str:
    """How long ago, in the largest unit that says it."""
    if moment is None:
        return "never"
    seconds = max(0, int((now() - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


@bp.get("/assets/<kind>/<path:name>")
def asset(kind: str, name: str) -> ResponseReturnValue:
    """Styles and scripts, ours and the vendored ones."""
    if kind not in ASSETS:
        raise NotFound("There is no such asset.")
    folder: Path = current_app.config["WEB_FOLDER"] / kind
    return send_from_directory(folder, name, max_age=3600)


@bp.get("/login")
def login() -> ResponseReturnValue:
    """The sign-in page."""
    return render_template("login.html", problem="")


@bp.post("/login")
def sign_in() -> ResponseReturnValue:
    """Sign in with name and password."""
    name = request.form.get("name", "")[:100]
    try:
        limit.check(name, request.remote_addr or "", now())
        with context().database.read() as session:
            user = service.sign_in(session, name, request.form.get("password", "")[:1000])
    except PxeError as error:
        limit.failed(name, request.remote_addr or "", now())
        return render_template("login.html", problem=str(error)), error.status
    cookie.clear()
    cookie.permanent = True
    cookie.update(user=user.id, epoch=user.session_epoch)
    return redirect(url_for("ui.index"), HTTPStatus.SEE_OTHER)


@bp.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End this session."""
    cookie.clear()
    return redirect(url_for("ui.login"), HTTPStatus.SEE_OTHER)


@bp.get("/")
def index() -> ResponseReturnValue:
    """All machines."""
    return render_template("index.html", **_table())


@bp.get("/machines-table")
def machines_table() -> ResponseReturnValue:
    """The part of the index that changes."""
    return render_template("_machines.html", **_table())


@bp.get("/machines/<key>")
def machine_page(key: str) -> ResponseReturnValue:
    """One machine: where it stands, why, and its timeline."""
    return render_template("machine.html", **_machine(key))


@bp.get("/machines/<key>/timeline")
def machine_timeline(key: str) -> ResponseReturnValue:
    """The part of a machine's page that changes."""
    return render_template("_machine.html", **_machine(key))


def _table() -> dict[str, Any]:
    search, state, after = (request.args.get(name, "")[:100] for name in ("search", "state", "after"))
    with context().database.read() as session:
        rows, following = selectors.page(session, Filter(search=search, state=state), after=after, limit=PAGE)
        running = select(Deployment).where(Deployment.machine_id.in_([row.id for row in rows])).order_by(Deployment.id)
        latest = {row.machine_id: row for row in session.scalars(running)}
        counts = selectors.counts(session)
    return {
        "machines": rows,
        "latest": latest,
        "next": following,
        "counts": counts,
        "search": search,
        "state": state,
        "now": now(),
    }


def _machine(key: str) -> dict[str, Any]:
    with context().database.read() as session:
        row: Machine = selectors.get(session, key)
        found = select(Event).where(Event.machine_id == row.id).order_by(Event.id.desc()).limit(EVENTS_SHOWN)
        events = session.scalars(found).all()
        latest = select(Deployment).where(Deployment.machine_id == row.id).order_by(Deployment.id.desc()).limit(1)
        deployment = session.scalar(latest)
        why = explain.explain(session, row, now())
        bmc = row.bmc
    reached = {step["step"]: step for step in deployment.steps} if deployment else {}
    return {"machine": row, "bmc": bmc, "events": events, "deployment": deployment, "why": why, "reached": reached}
