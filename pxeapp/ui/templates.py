"""Templates, ours and the site's own: edited, checked, looked at for one machine and for all, and gone back on."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import groupby
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import ADMIN, allows
from pxeapp.answers import site_templates
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import NotFound, PxeError
from pxeapp.machines import selectors
from pxeapp.provisioning import rendered
from pxeapp.provisioning.proposals import Proposal
from pxeapp.ui import differences, faults
from pxeapp.ui.blueprint import bp
from pxeapp.ui.language import _

GROUPS_SHOWN = 20
LONGEST_FORM = 2**22  # bytes: a template of the largest size, written as a form
LOOKS = {"+": "comes", "-": "goes", "@": "place"}  # classes of the style sheet
NEW = {"of": "new", "text": "", "ours": None, "latest": 0}
Lines = list[tuple[str, str]]


@dataclass
class Sheet:
    """What the page of one template shows beside its text."""

    problem: str = ""
    notice: str = ""
    preview: list[dict[str, Any]] = field(default_factory=list)
    difference: dict[str, Any] | None = None
    machine: str = ""
    comment: str = ""


@bp.get("/templates")
def templates_page() -> ResponseReturnValue:
    """All of them, by folder."""
    with context().database.read() as session:
        items = site_templates.listing(session, context().templates)
    only = request.args.get("whose") == "site"
    shown = [each for each in items if each["of"] == "site" or not only]
    folders = [(name, list(each)) for name, each in groupby(shown, key=lambda item: item["path"].rpartition("/")[0])]
    own = sum(each["of"] == "site" for each in items)
    return render_template("templates.html", folders=folders, only=only, own=own, may=allows(actor().role, ADMIN))


@bp.get("/templates/new")
def new_template() -> ResponseReturnValue:
    """To the page of a template that there is not yet."""
    path = request.args.get("path", "").strip()
    return redirect(url_for("ui.template_page", path=path) if path else url_for("ui.templates_page"), 303)


@bp.get("/templates/edit/<path:path>")
def template_page(path: str) -> ResponseReturnValue:
    """One template; `version` shows an earlier one in the editor, which saving would make the newest."""
    sheet = Sheet(notice=_("Saved.") if request.args.get("saved") else "")
    with context().database.read() as session:
        about = _about(session, path)
        text = about["text"]
        number = row_number(request.args.get("version", ""))
        if number:
            text = site_templates.version(session, path, number).content or ""
            sheet.notice = _("This is version %(number)s; saving it makes it the newest.", number=number)
        return _page(session, path, about, text, sheet)


@bp.post("/templates/edit/<path:path>")
def edit_template(path: str) -> ResponseReturnValue:
    """Check it, look at a machine, look at all machines, or save it: `do` says which."""
    request.max_form_memory_size = LONGEST_FORM
    text = request.form.get("text", "").replace("\r\n", "\n")
    sheet = Sheet(machine=request.form.get("machine", "").strip()[:255], comment=request.form.get("comment", ""))
    action = request.form.get("do", "check")
    own = context()
    try:
        if action == "save":
            with own.database.write() as session:
                site_templates.save(
                    session, own.templates, path, text, author=actor().label, comment=sheet.comment, now=now()
                )
            site_templates.bring(own.database, own.settings.templates_dir)
            return redirect(url_for("ui.template_page", path=path, saved=1), 303)
        with own.database.read() as session:
            _look(session, path, text, action, sheet)
    except PxeError as error:
        sheet.problem = " ".join(faults.by_field(error).values()) or faults.sentence(error)
    with own.database.read() as session:
        page = _page(session, path, _about(session, path), text, sheet)
    return page, HTTPStatus.UNPROCESSABLE_ENTITY if sheet.problem else HTTPStatus.OK


@bp.post("/templates/rollback/<path:path>")
def rollback_template(path: str) -> ResponseReturnValue:
    """Make an earlier version the newest."""
    own = context()
    number = row_number(request.form.get("version", ""))
    with own.database.write() as session:
        site_templates.rollback(session, own.templates, path, number, author=actor().label, now=now())
    site_templates.bring(own.database, own.settings.templates_dir)
    return redirect(url_for("ui.template_page", path=path, saved=1), 303)


@bp.post("/templates/delete/<path:path>")
def delete_template(path: str) -> ResponseReturnValue:
    """Take the site's own away, so that ours counts again."""
    own = context()
    with own.database.write() as session:
        site_templates.delete(session, own.templates, path, author=actor().label, now=now())
    site_templates.bring(own.database, own.settings.templates_dir)
    return redirect(url_for("ui.templates_page"), 303)


def _about(session: Session, path: str) -> dict[str, Any]:
    try:
        return site_templates.shown(session, context().templates, path)
    except NotFound:
        return {"path": path, **NEW}


def _look(session: Session, path: str, text: str, action: str, sheet: Sheet) -> None:
    """What would come of it; nothing is written."""
    own = context()
    then = site_templates.check(own.templates, path, text)
    if action == "preview":
        machine = selectors.get(session, sheet.machine)
        sheet.preview = rendered.rendered(session, own.checker.proposing(then), machine)
    elif action == "difference":
        sheet.difference = differences.asked(Proposal(templates={path: text}))
    else:
        sheet.notice = _("It can be parsed. What it says of a machine only a preview can tell.")


def _page(session: Session, path: str, about: dict[str, Any], text: str, sheet: Sheet) -> str:
    groups = (sheet.difference or {}).get("groups", [])[:GROUPS_SHOWN]
    ours = about["ours"]
    return render_template(
        "template.html",
        about=about, text=text, sheet=sheet, versions=site_templates.versions(session, path)[:100],
        against_ours=line_difference(ours, text) if ours is not None else [],
        groups=[shown_group(group) for group in groups],
        may=allows(actor().role, ADMIN),
    )  # fmt: skip


def shown_group(group: dict[str, Any]) -> dict[str, Any]:
    """A group of machines with the same difference, its lines with their looks."""
    return {**group, "files": [(each["kind"], coloured(each["diff"])) for each in group["files"]]}


def line_difference(before: str, after: str) -> Lines:
    """What differs between two texts."""
    return coloured("\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)))


def coloured(diff: str) -> Lines:
    """The lines of a difference with their looks, without its two headlines."""
    return [(LOOKS.get(line[:1], ""), line) for line in diff.splitlines()[2:]]
