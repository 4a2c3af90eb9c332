"""Planning a rollout: a text with its plan beside it, made anew while somebody writes; and keeping it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import clusters
from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.rollouts import dry_run, service, starters, text
from pxeapp.rollouts.described import fields
from pxeapp.rollouts.invariants import Serving
from pxeapp.rollouts.service import Preview
from pxeapp.rollouts.spec import Spec
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import in_full
from pxeapp.ui.language import N_
from pxeapp.ui.rollout_view import SpanOf, title

NAMED = 60  # machines of one wave
WAVES = 200
FORMS = (
    ("patch", N_("Patch a cluster")),
    ("reinstall", N_("Reinstall a role")),
    ("reboot", N_("Reboot")),
    ("run", N_("An own command")),
)
LONGEST_FORM = 4 * text.LONGEST  # bytes: as a form writes it
NOTHING: dict[str, Any] = {"wrong": [], "plan": None, "refusal": ""}


@dataclass(frozen=True, slots=True)
class PlannedWave:
    """One wave of the plan."""

    title: str
    total: int
    machines: list[Serving]
    pause: bool
    forecast: SpanOf | None

    @property
    def more(self) -> int:
        """How many are not named."""
        return self.total - len(self.machines)


@bp.get("/rollouts/new")
def new_rollout() -> ResponseReturnValue:
    """The editor, with a text to begin with."""
    form = request.args.get("form", "")
    form = form if form in starters.STARTERS else "patch"
    with context().database.read() as session:
        around = _around(session)
    wanted = {name: request.args[name][:63] for name in ("cluster", "role") if request.args.get(name)}
    if not wanted:  # all of them is not meant: begin with what there is
        wanted = {"cluster": around["clusters"][0]} if around["clusters"] else {"role": "compute"}
    return _editor(starters.text(form, wanted), form=form, wanted=wanted, **around, **NOTHING)


@bp.post("/rollouts/preview")
def preview_rollout() -> ResponseReturnValue:
    """The plan of what is written now, or what is wrong with it: a part of the page, so never an error."""
    request.max_form_memory_size = LONGEST_FORM
    return render_template("_rollout_preview.html", **_found(_said()))


@bp.post("/rollouts/packages")
def preview_packages() -> ResponseReturnValue:
    """What would be patched, asked of every machine: a part of the page, so never an error."""
    request.max_form_memory_size = LONGEST_FORM
    own = context()
    try:
        found = dry_run.dry_run(own.database, own.checker.tools, text.read(_said()).spec, now=now())
    except PxeError as error:
        return render_template("_rollout_packages.html", problem=in_full(error), found=None)
    return render_template("_rollout_packages.html", problem="", found=found)


@bp.post("/rollouts")
def create_rollout() -> ResponseReturnValue:
    """Keep the plan; refused, the editor comes back with the text as it was."""
    request.max_form_memory_size = LONGEST_FORM
    said = _said()
    try:
        written = text.read(said)
        with written.locating():
            context().reaching.refuse(written.spec)
            number = _created(written.spec)
    except PxeError as error:
        with context().database.read() as session:
            page = _editor(said, form="", wanted={}, **_around(session), **_refused(error))
        return page, HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(url_for("ui.rollout_page", number=number), HTTPStatus.SEE_OTHER)


def _said() -> str:
    return request.form.get("text", "").replace("\r\n", "\n")


def _created(spec: Spec) -> int:
    with context().database.write() as session:
        row = service.create(session, spec, tools=context().checker.tools, actor=actor().label, now=now())
        session.flush()
        return row.id


def _planned(spec: Spec) -> Preview:
    with context().database.read() as session:
        found = service.preview(session, spec, tools=context().checker.tools, now=now())
    context().reaching.refuse(spec)
    return found


def _editor(said: str, *, form: str, wanted: dict[str, str], **more: Any) -> str:
    return render_template(
        "rollout_new.html", text=said, form=form, forms=FORMS, described=list(fields()),
        cluster=wanted.get("cluster", ""), role=wanted.get("role", ""), **more,
    )  # fmt: skip


def _around(session: Session) -> dict[str, list[str]]:
    return {
        "clusters": sorted(clusters.names(session)),
        "roles": list(session.scalars(select(Role.name).order_by(Role.name))),
    }


def _found(said: str) -> dict[str, Any]:
    if not said.strip():
        return NOTHING
    try:
        written = text.read(said)
        with written.locating():
            found = _planned(written.spec)
    except PxeError as error:
        return _refused(error)
    return {
        **NOTHING,
        "plan": found.plan,
        "total": len(found.plan.machines),
        "waves": _waves(found),
        "waves_total": len(found.plan.waves),
        "groups": found.plan.groups,
        "notes": (*found.plan.notes, *found.findings),
        "forecast": found.forecast,
        "patches": written.spec.action.kind == "patch",
    }


def _waves(found: Preview) -> list[PlannedWave]:
    spans = {each.number: SpanOf.of(each.spread) for each in found.forecast.waves}
    return [
        PlannedWave(
            title(wave.title), len(wave.machines), [found.machines[each] for each in wave.machines[:NAMED]], wave.pause,
            spans.get(wave.number),
        )
        for wave in found.plan.waves[:WAVES]
    ]  # fmt: skip


def _refused(error: PxeError) -> dict[str, Any]:
    problems: list[FieldProblem] = list(error.problems) if isinstance(error, Invalid) else []
    return {
        **NOTHING,
        "refusal": error.sentence,
        "wrong": problems or [FieldProblem("", error.sentence, error.hint)],
    }
