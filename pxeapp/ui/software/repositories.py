"""Repositories: what is published, what each holds, the forms that change it, and the keys that all are signed with."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import verdict
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import NotFound, PxeError
from pxeapp.provisioning import repository_readers
from pxeapp.software.content import tree
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Package
from pxeapp.software.repositories import keys, publishing, service, signing
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.tasks import service as tasks
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field, in_full
from pxeapp.ui.software.tasks import task_line

PAGE = 50
NEW = ("name", "kind", "suite", "component", "architecture", "description")


@bp.get("/software/repositories")
def repositories() -> ResponseReturnValue:
    """Repositories, mirrors too, and the keys."""
    return _page({})


@bp.get("/software/repositories/part")
def repositories_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_repositories.html", **_list())


@bp.post("/software/repositories")
def create_repository() -> ResponseReturnValue:
    """Add a local repository."""
    form = {name: request.form.get(name, "").strip() for name in NEW}
    wanted: dict[str, Any] = {"name": form["name"], "kind": form["kind"], "description": form["description"]}
    if form["kind"] == "deb":
        wanted |= {"suite": form["suite"], "components": form["component"].split()}
    wanted["architectures"] = form["architecture"].split()
    try:
        if form["kind"] not in service.ARCHITECTURES:
            raise NotFound("There is no such kind of repository.")
        with context().database.write() as session:
            service.create(session, context().settings, wanted, actor=actor().label, now=now())
    except PxeError as error:
        wrong = by_field(error)
        wrong |= {one: wrong[many] for one, many in (("component", "components"), ("architecture", "architectures"))
                  if many in wrong}  # fmt: skip
        return _page(form, problem=in_full(error), errors=wrong), error.status
    return redirect(url_for("ui.repository", name=form["name"]), HTTPStatus.SEE_OTHER)


@bp.get("/software/repositories/<name>")
def repository(name: str) -> ResponseReturnValue:
    """One repository with its packages."""
    return _one(name)


@bp.get("/software/repositories/<name>/part")
def repository_part(name: str) -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_repository.html", **_detail(name))


@bp.post("/software/repositories/<name>/packages")
def edit_repository(name: str) -> ResponseReturnValue:
    """Add the files that have been uploaded (lines of hash and name), or remove a package."""
    lines = [line.partition(" ") for line in request.form.get("upload", "").splitlines() if line.strip()]
    add = [{"sha256": sha256, "name": file[:200], "component": ""} for sha256, _, file in lines]
    remove = [each for each in request.form.getlist("remove") if each]

    def order(session: Session) -> None:
        for each in add:
            if not _store().has(each["sha256"]):
                raise NotFound(f"{each['name']} has not been sent, or too long ago.", hint="Send it again.")
        service.edit(session, name, add=add, remove=remove, actor=actor().label, now=now())

    return _act(name, order)


@bp.post("/software/repositories/<name>/publish")
def publish_repository(name: str) -> ResponseReturnValue:
    """Make and sign its index anew."""
    return _act(name, lambda session: service.republish(session, name, actor=actor().label, now=now()))


@bp.post("/software/repositories/<name>/delete")
def delete_repository(name: str) -> ResponseReturnValue:
    """Remove it, unless somebody reads it."""
    settings = context().settings
    try:
        with context().database.write() as session:
            readers = repository_readers.readers(session, name, settings.node_url)
            service.remove(session, name, readers=readers, actor=actor().label, now=now())
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return _one(name, problem=in_full(error)), error.status
    tree.withdraw(publishing.served_at(settings, name))
    return redirect(url_for("ui.repositories"), HTTPStatus.SEE_OTHER)


@bp.post("/software/signing-keys")
def add_signing_key() -> ResponseReturnValue:
    """One more key, beside those in use."""
    return _act_on_keys(lambda session: keys.add(session, actor=actor().label, now=now()))


@bp.post("/software/signing-keys/<fingerprint>/retire")
def retire_signing_key(fingerprint: str) -> ResponseReturnValue:
    """A key signs nothing any more."""
    return _act_on_keys(lambda session: keys.retire(session, fingerprint, actor=actor().label, now=now()))


def _act(name: str, do: Callable[[Session], object]) -> ResponseReturnValue:
    try:
        with context().database.write() as session:
            do(session)
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            with context().database.read() as session:
                publishing.get(session, name)  # of no repository there is no page to say it on
        return _one(name, problem=in_full(error)), error.status
    return redirect(url_for("ui.repository", name=name), HTTPStatus.SEE_OTHER)


def _act_on_keys(do: Callable[[Session], object]) -> ResponseReturnValue:
    try:
        with context().database.write() as session:
            do(session)
    except PxeError as error:
        return _page({}, problem=in_full(error)), error.status
    return redirect(url_for("ui.repositories"), HTTPStatus.SEE_OTHER)


def _page(form: dict[str, Any], *, problem: str = "", errors: dict[str, str] | None = None) -> str:
    return render_template("software/repositories.html", problem=problem, errors=errors or {}, form=form, **_list())


def _list() -> dict[str, Any]:
    after = request.args.get("after", "")
    with context().database.read() as session:
        rows = service.listing(session, after=after, limit=PAGE + 1)
        known = signing.every(session)
        going = tasks.listing(session, limit=1, running=True, kind=keys.SIGN)
        return {
            "after": after,
            "next": rows[PAGE - 1].name if len(rows) > PAGE else "",
            "repositories": [_line(row) for row in rows[:PAGE]],
            "keys": [{**keys.wire(row), "at": row.created_at, "until": row.retired_at} for row in known],
            "signing": [task_line(row) for row in going],
            "may_create": not verdict(actor(), "repositories.create", "POST"),
            "may_change_keys": not verdict(actor(), "repositories.add_key", "POST"),
            "in_use": len(signing.in_use(session)),
        }


def _line(row: SoftwareRepository) -> dict[str, Any]:
    return {**service.wire(row, context().settings.node_url), "size": size_shown(row.bytes), "at": row.published_at}


def _one(name: str, *, problem: str = "") -> str:
    return render_template("software/repository.html", problem=problem, **_detail(name))


def _detail(name: str) -> dict[str, Any]:
    search, after = request.args.get("search", "")[:200], request.args.get("after", "")[:500]
    with context().database.read() as session:
        row = publishing.get(session, name)
        going = tasks.listing(session, limit=5, running=True, subject=name)
        last = tasks.listing(session, limit=1, running=False, kind=service.PUBLISH, subject=name)
    found, following = service.packages(_store(), row, search=search, after=after, limit=PAGE)
    own = row.origin == service.LOCAL
    return {
        "repository": _line(row),
        "packages": [_package_line(each) for each in found],
        "search": search,
        "after": after,
        "next": following,
        "tasks": [task_line(each) for each in [*going, *(each for each in last if each.outcome == tasks.FAILED)]],
        "may_edit": own and not verdict(actor(), "repositories.edit", "POST"),
        "may_publish": not verdict(actor(), "repositories.publish", "POST"),
        "may_delete": own and not verdict(actor(), "repositories.delete", "DELETE"),
    }


def _package_line(package: Package) -> dict[str, Any]:
    return {**service.wire_package(package), "shown": size_shown(package.size)}


def _store() -> Store:
    return Store(context().settings.data_dir / "software")
