"""One file that a machine was given: what it was made of, what it would be today, and its text."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from pxeapp.api.context import context
from pxeapp.machines import selectors
from pxeapp.provisioning import given
from pxeapp.ui.blueprint import bp

LOOKS = {"+": "comes", "-": "goes", "@": "place"}  # classes of the style sheet


@bp.get("/machines/<key>/given/<int:number>")
def machine_given(key: str, number: int) -> ResponseReturnValue:
    """The page."""
    own = context()
    with own.database.read() as session:
        machine = selectors.get(session, key)
        file = given.file(session, own.vault, machine, number)
        (compared,) = given.compared(session, own.checker.tools, machine, [file])
        lines = [(LOOKS.get(line[:1], ""), line) for line in compared.diff.splitlines()[2:]]
        return render_template("given.html", machine=machine, file=file, compared=compared, lines=lines)
