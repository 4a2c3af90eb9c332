"""One action on many machines: what it would touch, the number typed by hand, and how it went for each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import allows
from pxeapp.accounts.service import Actor
from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import Conflict, Forbidden, Invalid
from pxeapp.jobs import service as jobs
from pxeapp.jobs.models import COMPARE, Job
from pxeapp.machines.selectors import Filter
from pxeapp.provisioning import bulk, comparing
from pxeapp.provisioning.bulk import Radius, Selection
from pxeapp.software.models import Release
from pxeapp.ui.blueprint import bp
from pxeapp.ui.catalogue import shown_groups
from pxeapp.ui.faults import in_full
from pxeapp.ui.language import N_, _

NAMED = 200  # machines that the confirmation names
ITEMS = 200  # machines of a job on one page
COMPARED = N_("Difference for all machines")
FINISHED = 286  # htmx's own status: take this, and ask no more


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that can be done with many machines: what it is called, and which of its options are asked for."""

    label: str
    action: str
    options: dict[str, Any] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    grave: bool = False  # it erases, deletes or switches off: what serves somebody now would end


CHOICES: dict[str, Choice] = {
    "deploy": Choice(N_("Deploy"), "deploy", {}, ("release", "role")),
    "reinstall": Choice(
        N_("Reinstall (erases their disks)"), "deploy", {"reimage": True}, ("release", "role"), grave=True
    ),
    "abort": Choice(N_("Abort the deployment"), "abort"),
    "release": Choice(N_("Release (take out of use)"), "release", grave=True),
    "power-on": Choice(N_("Power on"), "power", {"power": "on"}),
    "power-off": Choice(N_("Power off"), "power", {"power": "off"}, grave=True),
    "power-cycle": Choice(N_("Power cycle"), "power", {"power": "cycle"}, grave=True),
    "label": Choice(N_("Set labels"), "label", {}, ("set",)),
    "unlabel": Choice(N_("Remove labels"), "label", {}, ("remove",)),
    "maintain": Choice(N_("Begin maintenance"), "maintenance", {"on": True}, ("reason",)),
    "serve": Choice(N_("End maintenance"), "maintenance", {"on": False}),
    "lock": Choice(N_("Lock"), "lock", {"on": True}),
    "unlock": Choice(N_("Unlock"), "lock", {"on": False}),
    "manage": Choice(N_("Make manageable"), "bring", {"verb": "manage"}),
    "provide": Choice(N_("Make available"), "bring", {"verb": "provide"}),
    "reserve": Choice(N_("Reserve"), "bring", {"verb": "reserve"}),
    "unreserve": Choice(N_("End reservation"), "bring", {"verb": "unreserve"}),
    "retire": Choice(N_("Retire"), "bring", {"verb": "retire"}, grave=True),
    "delete": Choice(N_("Delete"), "delete", {}, grave=True),
}


def choices_for(who: Actor) -> list[tuple[str, str]]:
    """What somebody may do with many machines."""
    return [(key, each.label) for key, each in CHOICES.items() if allows(who.role, bulk.ACTIONS[each.action][0])]


@bp.post("/machines/bulk")
def bulk_confirm() -> ResponseReturnValue:
    """What it would touch: nothing is done yet."""
    with context().database.read() as session:
        return _confirmation(session, "")


@bp.post("/machines/bulk/order")
def bulk_order() -> ResponseReturnValue:
    """Order it, if as many machines are meant as were shown, and somebody typed how many."""
    form = request.form
    choice = _choice()
    typed, shown = form.get("typed", "").strip().replace(",", ""), form.get("expect", "")
    if typed != shown or not shown.isascii() or not shown.isdigit():
        with context().database.read() as session:
            return _confirmation(session, _("Type how many machines it is: %(number)s.", number=shown[:10]))
    try:
        with context().database.write() as session:
            job = bulk.order(
                session, action=choice.action, options=_options(choice), selection=_selection(),
                expect=row_number(shown), actor=actor(), now=now(),
            )  # fmt: skip
            number = job.id
    except (Conflict, Invalid) as error:
        with context().database.read() as session:
            return _confirmation(session, in_full(error))
    return redirect(url_for("ui.job_page", number=number), 303)


@bp.get("/jobs/<int:number>")
def job_page(number: int) -> ResponseReturnValue:
    """How a job goes, machine by machine."""
    return render_template("job.html", **_job_view(number))


@bp.get("/jobs/<int:number>/table")
def job_table(number: int) -> ResponseReturnValue:
    """The part of it that changes."""
    view = _job_view(number)
    return render_template("_job.html", **view), FINISHED if view["job"].finished_at else HTTPStatus.OK


@bp.get("/jobs/<int:number>/difference")
def job_difference(number: int) -> ResponseReturnValue:
    """How far a comparison is; once it has ended, what it found."""
    with context().database.read() as session:
        job = jobs.get(session, number, by=jobs.seen_by(actor()))
        if not comparing.may_see(job, actor()):
            raise Forbidden("What this comparison found is for whoever asked for it, and for admins.")
        part = render_template("_compared.html", job=job, compared=_found(session, job))
    return part, FINISHED if job.finished_at else HTTPStatus.OK


@bp.post("/jobs/<int:number>/cancel")
def cancel_job(number: int) -> ResponseReturnValue:
    """Begin nothing more of it."""
    with context().database.write() as session:
        jobs.cancel(session, number, actor=actor().label, now=now(), by=jobs.seen_by(actor()))
    return redirect(url_for("ui.job_page", number=number), 303)


def _choice() -> Choice:
    key = request.form.get("do", "")
    if key not in CHOICES:
        raise Invalid(_("Choose what is to be done with these machines."))
    return CHOICES[key]


def _selection() -> Selection:
    if request.form.get("scope") == "filter":
        return Selection(narrowed=Filter(q=request.form.get("q", "")), everything=True)
    return Selection(machines=request.form.getlist("machine"))


def _options(choice: Choice) -> dict[str, Any]:
    """What the form says of the options that this asks for."""
    given = {name: text for name in choice.asks if (text := request.form.get(name, "").strip())}
    found: dict[str, Any] = {**choice.options, **given}
    if "set" in given:
        pairs = (line.partition("=") for line in given["set"].splitlines() if line.strip())
        found["set"] = {key.strip(): value.strip() for key, _sign, value in pairs}
    if "remove" in given:
        found["remove"] = given["remove"].replace(",", " ").split()
    return found


def _confirmation(session: Session, problem: str) -> ResponseReturnValue:
    choice = _choice()
    least = bulk.ACTIONS[choice.action][0]
    if not allows(actor().role, least):
        raise Forbidden(f"To {choice.action} machines needs the role {least}; {actor().label} is {actor().role}.")
    try:
        radius = bulk.radius(session, _selection())
    except Invalid as error:
        radius, problem = Radius(()), problem or in_full(error)
    page = render_template(
        "bulk.html", choice=choice, radius=radius, problem=problem, form=request.form,
        named=radius.machines[:NAMED],
        releases=session.scalars(select(Release.name).order_by(Release.name)).all(),
        roles=session.scalars(select(Role.name).order_by(Role.name)).all(),
    )  # fmt: skip
    return page, HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK


def _job_view(number: int) -> dict[str, Any]:
    outcome = request.args.get("outcome", "")[:12]
    start = row_number(request.args.get("after", ""))
    with context().database.read() as session:
        job = jobs.get(session, number, by=jobs.seen_by(actor()))
        items = jobs.items(session, job, after=start, limit=ITEMS + 1, outcome=outcome)
        ended = jobs.counts(session, [job])[job.id]
        return {
            "job": job,
            "ended": ended,
            "done": job.total - ended[jobs.WAITING],
            "label": COMPARED if job.action == COMPARE else _label(job),
            "compared": _found(session, job) if job.action == COMPARE else None,
            "items": items[:ITEMS],
            "next": items[ITEMS - 1].id if len(items) > ITEMS else None,
            "outcome": outcome,
            "after": start,
        }


def _found(session: Session, job: Job) -> dict[str, Any]:
    """What a page shows of a comparison: nothing before it has ended, nor to whoever may not know what it found."""
    ended_well = job.finished_at is not None and not job.cancelled and not job.problem
    if not ended_well or not comparing.may_see(job, actor()):
        return {"difference": None, "groups": []}
    found = comparing.found(session, context().vault, job, actor())
    return {"difference": found, "groups": shown_groups(found)}


def _label(job: Job) -> str:
    """What was ordered, as it is called here."""
    return next((each.label for each in CHOICES.values() if _is(each, job.action, job.options)), job.action)


def _is(choice: Choice, action: str, options: dict[str, Any]) -> bool:
    """Whether this is what was ordered."""
    said_so = all(options.get(name) == value for name, value in choice.options.items())
    return choice.action == action and said_so and (action != "deploy" or bool(options.get("reimage")) == choice.grave)
