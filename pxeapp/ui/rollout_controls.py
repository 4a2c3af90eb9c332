"""What somebody does with a rollout from its page: start, pause, go on, abort; skip and retry machines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid, NotFound, PxeError
from pxeapp.provisioning import breaker
from pxeapp.rollouts import control, service
from pxeapp.rollouts.course import UNDRAIN
from pxeapp.rollouts.models import Rollout
from pxeapp.rollouts.plan import Plan
from pxeapp.ui import rollouts
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import in_full
from pxeapp.ui.language import _

Do = Callable[[Session, Rollout], None]


@bp.post("/rollouts/<int:number>/control/<name>")
def control_rollout(number: int, name: str) -> ResponseReturnValue:
    """One of VERBS."""
    if name not in VERBS:
        raise NotFound("There is no such page.")
    return _act(number, VERBS[name], url_for("ui.rollout_page", number=number))


@bp.post("/rollouts/<int:number>/members/<name>")
def control_members(number: int, name: str) -> ResponseReturnValue:
    """One of OF_MEMBERS: with a machine, or with all of a wave that it fits."""
    if name not in OF_MEMBERS:
        raise NotFound("There is no such page.")
    machine = request.form.get("machine", "")[:63]
    wave = row_number(request.form.get("wave") or request.form.get("shown", ""))
    which: dict[str, Any] = {"machine": machine} if machine else {"wave": wave}
    if machine and request.form.get("back") == "member":
        back = url_for("ui.rollout_member", number=number, key=machine)
    else:
        back = url_for("ui.rollout_page", number=number, wave=wave, _anchor="h-waves")
    return _act(number, lambda session, row: OF_MEMBERS[name](session, row, which), back)


@bp.post("/rollouts/breaker/reset")
def reset_breaker() -> ResponseReturnValue:
    """Reinstall again, after somebody has looked; one that is closed already stays so."""
    with contextlib.suppress(Conflict), context().database.write() as session:
        breaker.reset(session, actor=actor().label, now=now())
    return redirect(url_for("ui.rollouts"), HTTPStatus.SEE_OTHER)


def _start(session: Session, row: Rollout) -> None:
    """If somebody typed how many machines it is."""
    total = str(len(Plan.from_dict(row.plan).machines))
    if request.form.get("typed", "").strip().replace(",", "") != total:
        raise Invalid(_("Type how many machines it is: %(number)s.", number=total))
    control.start(session, row, actor=actor().label, now=now())


def _pause(session: Session, row: Rollout) -> None:
    control.pause(session, row, reason=_reason(), actor=actor().label, now=now())


def _resume(session: Session, row: Rollout) -> None:
    control.resume(session, row, actor=actor().label, now=now())


def _abort(session: Session, row: Rollout) -> None:
    control.abort(session, row, reason=_reason(), actor=actor().label, now=now())


def _continue(session: Session, row: Rollout) -> None:
    wave = row_number(request.form.get("wave", ""))
    control.go_on(session, row, wave=wave, actor=actor().label, now=now())


def _skip(session: Session, row: Rollout, which: dict[str, Any]) -> None:
    control.skip(session, row, **which, actor=actor().label, now=now())


def _retry(session: Session, row: Rollout, which: dict[str, Any]) -> None:
    control.retry(session, row, **which, actor=actor().label, now=now())


def _put_back(session: Session, row: Rollout, which: dict[str, Any]) -> None:
    control.retry(session, row, **which, step=UNDRAIN, actor=actor().label, now=now())


VERBS: dict[str, Do] = {"start": _start, "pause": _pause, "resume": _resume, "abort": _abort, "continue": _continue}
OF_MEMBERS = {"skip": _skip, "retry": _retry, "undrain": _put_back}


def _reason() -> str:
    return request.form.get("reason", "").strip()[:500]


def _act(number: int, do: Do, back: str) -> ResponseReturnValue:
    """In one transaction; then the page again, which a reload does not repeat. Refused: the page with the reason."""
    try:
        with context().database.write() as session:
            do(session, service.get(session, number, lock=True))
    except NotFound:
        raise
    except PxeError as error:
        return rollouts.page(number, problem=in_full(error)), HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(back, HTTPStatus.SEE_OTHER)
