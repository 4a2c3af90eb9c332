"""Bundles: those that were made, with their parts, those that were imported, and the forms that do either."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import verdict
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, NotFound, PxeError
from pxeapp.sentences import few
from pxeapp.software.bundles import service
from pxeapp.software.bundles.index import MOST_PARTS
from pxeapp.software.bundles.models import Bundle
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.content.store import SHA256, Store
from pxeapp.software.models import Release
from pxeapp.software.repositories import signing
from pxeapp.software.snapshots import service as snapshots
from pxeapp.software.tasks import service as tasks
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field, in_full
from pxeapp.ui.language import N_
from pxeapp.ui.software.tasks import task_line

PAGE = 50
SIZES = (("4400M", N_("4.4 GB, a DVD")), ("23G", N_("23 GB, a Blu-ray disc")), ("0", N_("all in one part")))
BYTES = {"4400M": 4_400_000_000, "23G": 23_000_000_000, "0": 0}
KINDS = (service.CREATE, service.IMPORT, service.VERIFY)


@bp.get("/software/bundles")
def bundles() -> ResponseReturnValue:
    """All of them, and the forms; with `parts` that of the import is of what a task was given."""
    return _page(_given_before(row_number(request.args.get("parts", ""))))


@bp.get("/software/bundles/part")
def bundles_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_bundles.html", **_list())


@bp.post("/software/bundles")
def create_bundle() -> ResponseReturnValue:
    """Order one."""
    form: dict[str, Any] = {name: request.form.get(name, "").strip() for name in ("name", "since", "part_size")}
    form |= {name: request.form.getlist(name) for name in ("releases", "snapshots")}
    form |= {name: bool(request.form.get(name)) for name in ("boot_programs", "templates")}
    options = {key: value for key, value in form.items() if key != "name"}
    options["part_size"] = BYTES.get(form["part_size"], BYTES["4400M"])
    try:
        with context().database.write() as session:
            service.create(
                session, context().settings, form["name"], options, replace=bool(request.form.get("replace")),
                actor=actor().label, now=now(),
            )  # fmt: skip
    except PxeError as error:
        return _refused(form, error)
    return redirect(url_for("ui.bundles"), HTTPStatus.SEE_OTHER)


@bp.post("/software/bundles/import")
def import_bundle() -> ResponseReturnValue:
    """Order the import, or only the verification, of parts: uploaded (lines of hash and name), or below incoming."""
    form: dict[str, Any] = {name: request.form.get(name, "").strip() for name in ("upload", "path", "trust")}
    form |= {name: bool(request.form.get(name)) for name in ("replace_releases", "replace_templates")}
    verify = request.form.get("act") == "verify"
    try:
        options = _parts(form["upload"], form["path"])
        if not verify:
            options |= {"trust": _fingerprints(form["trust"])}
            options |= {name: form[name] for name in ("replace_releases", "replace_templates")}
        with context().database.write() as session:
            service.take(
                session, context().settings, options, kind=service.VERIFY if verify else service.IMPORT,
                actor=actor().label, now=now(),
            )  # fmt: skip
    except PxeError as error:
        return _refused(form, error)
    return redirect(url_for("ui.bundles"), HTTPStatus.SEE_OTHER)


@bp.post("/software/bundles/<name>/delete")
def delete_bundle(name: str) -> ResponseReturnValue:
    """Remove one that was made here."""
    try:
        with context().database.write() as session:
            service.delete(session, context().settings, name, actor=actor().label, now=now())
    except PxeError as error:
        return _refused({}, error)
    return redirect(url_for("ui.bundles"), HTTPStatus.SEE_OTHER)


def _parts(upload: str, path: str) -> dict[str, Any]:
    """Where the parts are; raises Invalid for what was not sent, and for both at once."""
    lines = [line.partition(" ") for line in upload.splitlines() if line.strip()]
    if lines and path:
        problem = FieldProblem("path", "is said, and parts were sent as well.", "Empty it, or open the page anew.")
        raise Invalid("Nothing was ordered.", problems=[problem])
    if len(lines) > MOST_PARTS:
        problem = FieldProblem("uploads", f"are more than {MOST_PARTS} files.", "Send the parts of one bundle.")
        raise Invalid("Nothing was ordered.", problems=[problem])
    store = Store(context().settings.data_dir / "software")
    gone = [name or sha256 for sha256, _, name in lines if not SHA256.fullmatch(sha256) or not store.has(sha256)]
    if gone:
        said = f"{few([each[:200] for each in gone], 3)} was not sent, or too long ago."
        raise Invalid("Nothing was ordered.", problems=[FieldProblem("uploads", said, "Send all parts again.")])
    return {
        "uploads": [sha256 for sha256, _, _ in lines],
        "names": [name[:200] or sha256 for sha256, _, name in lines],
        "paths": [path] if path else [],
    }


def _given_before(number: int) -> dict[str, Any]:
    """The parts of a verification, or of an import that was refused: what has come in need not be sent again."""
    if not number or verdict(actor(), "bundles.take", "POST"):
        return {}
    with context().database.read() as session:
        task = tasks.get(session, number)
    if task.kind not in (service.IMPORT, service.VERIFY):
        raise NotFound(f"Task {number} had no parts.")
    said = task.options
    names = said.get("names") or said.get("uploads", ())
    paths = said.get("paths", ())
    return {
        "upload": "\n".join(f"{sha256} {name}" for sha256, name in zip(said.get("uploads", ()), names, strict=True)),
        "path": paths[0] if len(paths) == 1 else "",
        "trust": ", ".join(said.get("trust", ())),
    }


def _fingerprints(text: str) -> list[str]:
    """Commas between them; the blanks within one, as programs show it, do not matter."""
    found = [re.sub(r"\s", "", each).upper() for each in text.split(",") if each.strip()]
    if any(not re.fullmatch("[0-9A-F]{40}", each) for each in found):
        problem = FieldProblem("trust", "is no fingerprint.", "Write all 40 digits, as the other appliance shows them.")
        raise Invalid("Nothing was ordered.", problems=[problem])
    return found


def _refused(form: dict[str, Any], error: PxeError) -> ResponseReturnValue:
    return _page(form, problem=in_full(error), errors=by_field(error)), error.status


def _page(form: dict[str, Any], *, problem: str = "", errors: dict[str, str] | None = None) -> str:
    with context().database.read() as session:
        releases = list(session.scalars(select(Release.name).where(Release.ready).order_by(Release.name)))
        kept = [row.name for row in snapshots.listing(session, limit=500)]
        keys = [row.fingerprint for row in signing.in_use(session)]
    return render_template(
        "software/bundles.html", problem=problem, errors=errors or {}, form=form, releases=releases, snapshots=kept,
        keys=keys, sent=len(form.get("upload", "").splitlines()), sizes=SIZES,
        incoming=context().settings.data_dir / "incoming", **_list(),
    )  # fmt: skip


def _list() -> dict[str, Any]:
    after = row_number(request.args.get("after", ""))
    with context().database.read() as session:
        rows = service.listing(session, after=after, limit=PAGE + 1)
        return {
            "after": after,
            "next": rows[PAGE - 1].id if len(rows) > PAGE else 0,
            "bundles": [_line(row) for row in rows[:PAGE]],
            "at_work": _at_work(session),
            "may_change": not verdict(actor(), "bundles.create", "POST"),
            "may_import": not verdict(actor(), "bundles.take", "POST"),
        }


def _at_work(session: Session) -> list[dict[str, Any]]:
    going = [task for kind in KINDS for task in tasks.listing(session, limit=10, running=True, kind=kind)]
    # What the last verification found is nowhere else, and why an import was refused is what somebody looks for.
    last = [task for kind in KINDS for task in tasks.listing(session, limit=1, running=False, kind=kind)]
    return [task_line(row) for row in (*going, *(each for each in last if each.problem or each.kind == service.VERIFY))]


def _line(row: Bundle) -> dict[str, Any]:
    found = service.wire(context().settings, row)
    parts = [{**each, "size": size_shown(each["bytes"])} for each in found["parts"]]
    held = [name for names in found["contents"].values() for name in names]
    return {**found, "parts": parts, "size": size_shown(row.bytes), "held": held, "at": row.at}
