"""A machine's serial console in the browser: live, typed into, and as it was recorded."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pxeapp.accounts.permissions import OPERATOR, allows
from pxeapp.api.consoles import answer_stream
from pxeapp.api.context import actor, context
from pxeapp.consoles import recordings, service
from pxeapp.db import now
from pxeapp.errors import Invalid, PxeError
from pxeapp.machines import selectors
from pxeapp.ui.blueprint import bp
from pxeapp.ui.language import said

ACTS = ("break", "take", "release")


@bp.get("/machines/<key>/console")
def console_page(key: str) -> ResponseReturnValue:
    """The page; the line is opened when its script asks for the stream."""
    return _page(key, "")


@bp.get("/machines/<key>/console/stream")
def console_stream(key: str) -> ResponseReturnValue:
    """What the machine says, as server-sent events; who comes back names the last one."""
    return answer_stream(key, "ui.console_stream")


@bp.post("/machines/<key>/console/keys")
def console_keys(key: str) -> ResponseReturnValue:
    """Type: the body is what was typed."""
    own, keys = context(), request.get_data(cache=False)
    service.type_keys(own.database, own.settings, key, keys, actor=actor().label, now=now())
    return "", HTTPStatus.NO_CONTENT


@bp.post("/machines/<key>/console")
def console_act(key: str) -> ResponseReturnValue:
    """A break, or taking the line, or giving it away."""
    own, what = context(), request.form.get("action", "")
    try:
        if what not in ACTS:
            raise Invalid(f"{what!r} is nothing that a console can do.")
        service.act(own.database, own.settings, key, cast(service.Act, what), actor=actor().label, now=now())
    except PxeError as error:
        return _page(key, said(str(error))), HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(url_for("ui.console_page", key=key), HTTPStatus.SEE_OTHER)


@bp.get("/machines/<key>/console/recordings/<int:number>")
def console_recording(key: str, number: int) -> ResponseReturnValue:
    """One recording, to be played."""
    with context().database.read() as session:
        row = selectors.get(session, key)
        found = recordings.get(session, row.id, number)
        return render_template("recording.html", machine=row, recording=found)


def _page(key: str, problem: str) -> str:
    with context().database.read() as session:
        row = selectors.get(session, key)
        service.refuse_without(row)
        return render_template("console.html", machine=row, problem=problem, may_type=allows(actor().role, OPERATOR))
