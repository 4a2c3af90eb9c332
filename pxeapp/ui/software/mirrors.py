"""Mirrors: what each is of, what it holds and lacks; the form that makes another, or says what it would come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import verdict
from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import NotFound, PxeError
from pxeapp.provisioning import repository_readers
from pxeapp.software import upstreams
from pxeapp.software.content import tree
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.mirrors import definitions, service
from pxeapp.software.models import Release
from pxeapp.software.repositories import publishing
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.systems import SYSTEMS
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field, in_full
from pxeapp.ui.language import said
from pxeapp.ui.software.tasks import task_line

PAGE = 50
TEXTS = ("name", "upstream", "release", "packages", "keyring", "every_hours")
CHECKS = ("base", "installer", "recommends", "accept_unsigned")
LISTS = ("roles", "definitions")


@bp.get("/software/mirrors")
def mirrors() -> ResponseReturnValue:
    """All of them, and the form."""
    return _page({})


@bp.get("/software/mirrors/part")
def mirrors_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_mirrors.html", **_list())


@bp.post("/software/mirrors")
def create_mirror() -> ResponseReturnValue:
    """Make a mirror and sync it; or only say what it would come to."""
    form: dict[str, Any] = {name: request.form.get(name, "").strip() for name in TEXTS}
    form |= {name: bool(request.form.get(name)) for name in CHECKS}
    form |= {name: request.form.getlist(name) for name in LISTS}
    known = upstreams.configured(context().settings)
    is_preview = request.form.get("act") == "preview"
    try:
        given = _given(form)
        with context().database.write() as session:
            if is_preview:
                service.preview(session, known, given, actor=actor().label, now=now())
            else:
                service.create(session, known, form["name"], given, actor=actor().label, now=now())
                service.sync(session, form["name"], actor=actor().label, now=now())
    except PxeError as error:
        return _page(form, problem=in_full(error), errors=by_field(error)), error.status
    if is_preview:
        return _page(form)
    return redirect(url_for("ui.mirror", name=form["name"]), HTTPStatus.SEE_OTHER)


@bp.get("/software/mirrors/<name>")
def mirror(name: str) -> ResponseReturnValue:
    """One mirror."""
    return render_template("software/mirror.html", problem="", **_one(name))


@bp.get("/software/mirrors/<name>/part")
def mirror_part(name: str) -> ResponseReturnValue:
    """The part of its page that changes."""
    return render_template("software/_mirror.html", **_one(name))


@bp.post("/software/mirrors/<name>/<verb>")
def control_mirror(name: str, verb: str) -> ResponseReturnValue:
    """One of VERBS."""
    if verb not in VERBS:
        raise NotFound("There is no such page.")
    method = "DELETE" if verb == "delete" else "POST"
    if refused := verdict(actor(), f"mirrors.{verb}", method):
        return render_template("software/mirror.html", problem=said(refused), **_one(name)), HTTPStatus.FORBIDDEN
    try:
        with context().database.write() as session:
            VERBS[verb](session, name)
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return render_template("software/mirror.html", problem=in_full(error), **_one(name)), error.status
    if verb == "delete":
        tree.withdraw(publishing.served_at(context().settings, name))
        return redirect(url_for("ui.mirrors"), HTTPStatus.SEE_OTHER)
    return redirect(url_for("ui.mirror", name=name), HTTPStatus.SEE_OTHER)


def _sync(session: Session, name: str) -> None:
    service.sync(session, name, actor=actor().label, now=now())


def _delete(session: Session, name: str) -> None:
    readers = repository_readers.readers(session, name, context().settings.node_url)
    service.remove(session, name, readers=readers, actor=actor().label, now=now())


VERBS: dict[str, Callable[[Session, str], None]] = {"sync": _sync, "delete": _delete}


def _given(form: dict[str, Any]) -> dict[str, Any]:
    hours = form["every_hours"]
    return {
        "upstream": form["upstream"],
        "release": form["release"],
        "packages": [each.strip() for each in form["packages"].replace(",", "\n").splitlines() if each.strip()],
        "definitions": form["definitions"],
        "roles": [{"role": role} for role in form["roles"]],
        "keyring": form["keyring"],
        "every_hours": int(hours) if hours.isascii() and hours.isdigit() else 0 if not hours else -1,
        **{name: form[name] for name in CHECKS},
    }


def _page(form: dict[str, Any], *, problem: str = "", errors: dict[str, str] | None = None) -> str:
    with context().database.read() as session:
        releases = list(session.scalars(select(Release.name).order_by(Release.name)))
        roles = list(session.scalars(select(Role.name).order_by(Role.name)))
    systems = [f"{family}-{version}" for family, version in SYSTEMS]
    return render_template(
        "software/mirrors.html", problem=problem, errors=errors or {}, form=form, roles=roles,
        releases=list(dict.fromkeys([*releases, *systems])), definitions=list(definitions.everything().values()),
        upstreams=sorted(upstreams.configured(context().settings)), may_preview=not verdict(
            actor(), "mirrors.preview", "POST"
        ), **_list(),
    )  # fmt: skip


def _list() -> dict[str, Any]:
    after = request.args.get("after", "")
    with context().database.read() as session:
        rows = service.listing(session, after=after, limit=PAGE + 1)
        going = [
            task
            for kind in (service.SYNC, service.PREVIEW)
            for task in tasks.listing(session, limit=10, running=True, kind=kind)
        ]
        tried = tasks.listing(session, limit=1, running=False, kind=service.PREVIEW)
        return {
            "after": after,
            "next": rows[PAGE - 1].name if len(rows) > PAGE else "",
            "mirrors": [_line(row) for row in rows[:PAGE]],
            "at_work": [_task(row) for row in (*going, *tried)],
            "may_create": not verdict(actor(), "mirrors.create", "POST"),
        }


def _one(name: str) -> dict[str, Any]:
    with context().database.read() as session:
        row = service.get(session, name)
        last = tasks.listing(session, limit=1, kind=service.SYNC, subject=name)
        return {
            "mirror": _line(row),
            "task": _task(last[0]) if last else None,
            "may_sync": not verdict(actor(), "mirrors.sync", "POST"),
            "may_delete": not verdict(actor(), "mirrors.delete", "DELETE"),
        }


def _line(row: SoftwareRepository) -> dict[str, Any]:
    found = service.wire(row)
    return {**found, "of": _of(found), "size": size_shown(row.bytes), "at": row.published_at}


def _of(found: Mapping[str, Any]) -> list[str]:
    return [*(each["role"] for each in found["roles"]), *found["definitions"], *found["packages"]]


def _task(row: SoftwareTask) -> dict[str, Any]:
    found = task_line(row)
    result = found["result"]
    if found["kind"] == service.PREVIEW:
        found["subject"] = ", ".join(_of(found["options"]["mirror"]))[:80] or found["subject"]
    if found["kind"] == service.PREVIEW and "to_fetch" in result:
        found["comes_to"] = size_shown(result["bytes"])
        found["to_fetch"] = size_shown(result["to_fetch"]["bytes"])
    return found
