"""Machines from a file: every row is checked and shown with what is wrong in it; then somebody says go.

Between the two the file travels in the page, sealed for whoever sent it: it may hold the passwords of BMCs, which
belong neither into a page nor onto a disk.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePath
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pxeapp.api.context import actor, context, site
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.machines import imports, readers
from pxeapp.machines.imports import Outcome
from pxeapp.machines.records import Record
from pxeapp.ui.blueprint import bp
from pxeapp.ui.language import _, said

FORMS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".csv": "csv"}
ROWS_SHOWN = 200  # of those that are right; of those that are wrong, ten times as many
MOST_SEALED = readers.MAX_BYTES * 2


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the file, and what is wrong in it."""

    record: Record
    problems: Sequence[FieldProblem]

    def text(self, name: str) -> str:
        """A value as it stands in the file; a field within another by its path, as bmc.address."""
        value: Any = self.record.values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return "" if value is None or isinstance(value, dict | list) else str(value)[:80]


@bp.get("/machines/import")
def import_page() -> ResponseReturnValue:
    """Choose a file."""
    return render_template("import.html", text="", form="csv")


@bp.post("/machines/import")
def check_import() -> ResponseReturnValue:
    """Check every row; nothing is written."""
    content, form, typed = _sent()
    try:
        if form not in readers.FORMS:
            raise Invalid(_("Its name ends in none of .csv, .yaml and .json."))
        if not content.strip():
            raise Invalid(_("Choose a file, or paste its text."))
        records = readers.read(content, form)
    except Invalid as error:
        problem = said(error.problems[0].problem) if error.problems else said(error.sentence)
        where = error.problems[0].line if error.problems else None
        told = _("Line %(line)s: %(what)s", line=where, what=problem) if where else problem
        return render_template("import.html", problem=told, text=typed, form=form), HTTPStatus.UNPROCESSABLE_ENTITY
    return _checked(content, form, records, typed)


@bp.post("/machines/import/run")
def run_import() -> ResponseReturnValue:
    """Import the file that was checked; it is checked again, for the rack may have changed meanwhile."""
    request.max_form_memory_size = MOST_SEALED
    content, form = _unsealed(request.form.get("sealed", ""))
    records = readers.read(content, form)
    try:
        done = _run(records, dry_run=False)
    except Invalid:
        return _checked(content, form, records, "")
    return redirect(
        url_for("ui.imported", created=len(done.created), updated=len(done.updated), unchanged=done.unchanged), 303
    )


@bp.get("/machines/imported")
def imported() -> ResponseReturnValue:
    """What an import did."""
    counts = {name: row_number(request.args.get(name, "")) for name in ("created", "updated", "unchanged")}
    return render_template("imported.html", **counts)


def _sent() -> tuple[bytes, str, str]:
    """The file, its form, and what was typed and may be shown again."""
    request.max_form_memory_size = readers.MAX_BYTES
    file = request.files.get("file")
    if file is not None and file.filename:
        return file.read(), FORMS.get(PurePath(file.filename).suffix.lower(), ""), ""
    text = request.form.get("text", "")
    # What was typed stays, but for passwords: those are typed again.
    return text.encode(), request.form.get("form", ""), "" if "password" in text.lower() else text


def _run(records: Sequence[Record], *, dry_run: bool) -> Outcome:
    with context().database.write() as session:
        own = context()
        return imports.run(session, own.vault, site(session), records, actor=actor().label, now=now(), dry_run=dry_run)


def _checked(content: bytes, form: str, records: Sequence[Record], typed: str) -> ResponseReturnValue:
    """What the import would do, or each row with what is wrong in it."""
    problems: tuple[FieldProblem, ...] = ()
    outcome = None
    try:
        outcome = _run(records, dry_run=True)
    except Invalid as error:
        problems = error.problems
    by_row: dict[int, list[FieldProblem]] = {}
    for each in problems:
        by_row.setdefault(each.row or 0, []).append(each)
    lines = [Line(record, by_row.get(number, ())) for number, record in enumerate(records, 1)]
    bad = [line for line in lines if line.problems]
    page = render_template(
        "import.html", outcome=outcome, total=len(lines), bad=len(bad), elsewhere=by_row.get(0, ()),
        text=typed, form=form,
        lines=bad[: 10 * ROWS_SHOWN] if bad else lines[:ROWS_SHOWN],
        sealed=_sealed(content, form) if outcome is not None else "",
    )  # fmt: skip
    return page, HTTPStatus.OK if outcome is not None else HTTPStatus.UNPROCESSABLE_ENTITY


def _owner() -> str:
    return f"import of {actor().label}"


def _sealed(content: bytes, form: str) -> str:
    plain = zlib.compress(form.encode() + b"\n" + content)
    return base64.b64encode(context().vault.seal(plain, belongs_to=_owner())).decode()


def _unsealed(sealed: str) -> tuple[bytes, str]:
    """The file and its form; raises Invalid for what we have not sealed for this user."""
    try:
        plain = context().vault.unseal(base64.b64decode(sealed, validate=True), belongs_to=_owner())
        form, _sep, content = zlib.decompressobj().decompress(plain, readers.MAX_BYTES + 10).partition(b"\n")
    except (PxeError, binascii.Error, zlib.error):
        raise Invalid(_("The file is not the one that was checked; choose it again.")) from None
    return content, form.decode()
