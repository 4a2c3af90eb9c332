"""One machine: where it stands, why, its steps with evidence and durations, and what it was given."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts import scope
from pxeapp.accounts.permissions import ADMIN, OPERATOR, allows
from pxeapp.answers.models import Role
from pxeapp.api.context import actor, context
from pxeapp.bmc import orders, power
from pxeapp.bmc.models import SelEntry
from pxeapp.bmc.readings import DEVICES
from pxeapp.consoles import recordings
from pxeapp.consoles import service as consoles
from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.machines import selectors
from pxeapp.machines.disks import in_words
from pxeapp.machines.models import Event, Machine, Sighting
from pxeapp.provisioning import explain, lacking, steps
from pxeapp.provisioning.lifecycle import SUCCEEDED
from pxeapp.provisioning.models import Deployment, Served
from pxeapp.provisioning.steps import Step
from pxeapp.rollouts import looking
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.software.models import Release
from pxeapp.ui.blueprint import bp
from pxeapp.ui.language import N_, spoken

EVENTS_SHOWN = 200
ATTEMPTS_SHOWN = 10
ENTRIES_SHOWN = 100
RECORDINGS_SHOWN = 10
STOP_POLLING = 286  # htmx's own status: take this, and ask no more
# Said on the page in these words.
STEP_WORDS = {
    Step.ARMED: N_("Armed"),
    Step.POWER_CYCLED: N_("Power cycled"),
    Step.DHCP_SEEN: N_("DHCP seen"),
    Step.NBP_FETCHED: N_("Boot loader fetched"),
    Step.KERNEL_FETCHED: N_("Kernel fetched"),
    Step.ANSWER_FETCHED: N_("Answer file fetched"),
    Step.INSTALLING: N_("Installing"),
    Step.INSTALLED: N_("Installed"),
    Step.FIRST_BOOT: N_("Booted from its disk"),
    Step.VERIFIED: N_("Verified"),
}


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of the attempt. `look` is a class of the style sheet: reached, implied, now, failed, open."""

    step: Step
    look: str
    at: dt.datetime | None = None
    took: dt.timedelta | None = None
    since: dt.datetime | None = None  # of one that is awaited
    message: str = ""
    source: str = ""

    @property
    def words(self) -> str:
        """Its name on the page."""
        return spoken(STEP_WORDS[self.step])


@dataclass(frozen=True, slots=True)
class EventLine:
    """One line of the timeline, and how long after the one before it."""

    event: Event
    after: dt.timedelta | None

    @property
    def evidence(self) -> str:
        """What it rests on, on one line."""
        pairs = [(name, value) for name, value in self.event.evidence.items() if value not in (None, "", [], {})]
        return "  ".join(f"{name}={_plain(value)}" for name, value in pairs)


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@bp.get("/machines/<key>")
def machine_page(key: str) -> ResponseReturnValue:
    """The page."""
    return page(key)


@bp.get("/machines/<key>/timeline")
def machine_timeline(key: str) -> ResponseReturnValue:
    """The part of it that changes."""
    try:
        return render_template("_machine.html", **_view(key))
    except NotFound:
        return render_template("_gone.html", key=key), STOP_POLLING


@bp.get("/machines/<key>/bmc-card")
def machine_bmc(key: str) -> ResponseReturnValue:
    """The part of it that the BMC tells."""
    with context().database.read() as session:
        row: Machine = selectors.get(session, key)
        return render_template("_machine_bmc.html", machine=row, **_bmc(session, row))


def page(
    key: str, *, problem: str = "", errors: Mapping[str, str] | None = None, form: Mapping[str, Any] | None = None
) -> str:
    """The whole page; after an action that was refused with the reason, at its field, and what was typed."""
    with context().database.read() as session:
        row: Machine = selectors.get(session, key)
        names = {
            kind.__tablename__: session.scalars(select(kind.name).order_by(kind.name)).all() for kind in (Role, Release)
        }
        around = {
            "problem": problem, "errors": errors or {}, "form": form or {}, "done": _done(),
            "may_act": allows(actor().role, OPERATOR), "may_clear": allows(actor().role, ADMIN), "devices": DEVICES,
        }  # fmt: skip
        bmc = _bmc(session, row) if row.bmc else {}
        return render_template("machine.html", **_view_of(session, row), **bmc, **names, **around)


# What an action says once it is done; the address names it, so that a reload does nothing twice.
DONE = {
    "power": N_("Ordered; the BMC worker carries it out."),
    "asked": N_("Asked; the answer appears here."),
    "deploy": N_("The deployment began."),
    "abort": N_("The deployment was aborted."),
    "release": N_("It is available again."),
    "saved": N_("Saved."),
}
ASKED = {
    "sensors": N_("Sensors"),
    "sel": N_("Event log"),
    "boot_device": N_("Boot device"),
    "identity": N_("Firmware"),
    "set_boot_device": N_("Set the boot device"),
    "clear_sel": N_("Clear event log"),
    "identify": N_("Blink the light"),
}


def _done() -> str:
    return spoken(DONE.get(request.args.get("done", ""), ""))


def _bmc(session: Session, row: Machine) -> dict[str, Any]:
    """What the BMC said, and which orders wait or failed last."""
    found = orders.latest_of_each(session, row.id)
    last = [found[kind] for kind in ASKED if kind in found]
    newest = select(SelEntry).where(SelEntry.machine_id == row.id).order_by(SelEntry.id.desc()).limit(ENTRIES_SHOWN)
    return {
        "facts": orders.facts(session, row.id),
        "entries": session.scalars(newest).all(),
        "asked": ASKED,
        "action": power.latest(session, row.id),
        "waiting": [order for order in last if order.outcome is None],
        "failed": [order for order in last if order.outcome == "failed"],
    }


def _view(key: str) -> dict[str, Any]:
    with context().database.read() as session:
        return _view_of(session, selectors.get(session, key))


def _view_of(session: Session, row: Machine) -> dict[str, Any]:
    moment = now()
    attempts = _attempts(session, row)
    deployment = attempts[0] if attempts else None
    return {
        "machine": row,
        "bmc": row.bmc,
        "interfaces": row.interfaces,
        "disks": [(disk.known, in_words(disk.known)) for disk in row.disks],
        "strange": session.get(Sighting, row.mac),
        "deployment": deployment,
        "earlier": attempts[1:],
        "steps": _steps(deployment, moment) if deployment else [],
        "total": (deployment.finished_at or moment) - deployment.requested_at if deployment else None,
        "allowance": deployment.step_deadline - deployment.step_since if deployment else None,
        "why": explain.explain(session, row, moment),
        "lacking": lacking.of_machine(session, context().templates, row),
        "given": _given(session, deployment) if deployment else [],
        "events": _events(session, row),
        "rolling": _rolling(session, row),
        "has_console": consoles.has_console(row),
        "recorded": recordings.of_machine(session, row.id, limit=RECORDINGS_SHOWN),
    }


def _rolling(session: Session, row: Machine) -> tuple[RolloutMember, Rollout | None] | None:
    """Its place in a rollout that is not over; the rollout itself where whoever looks may see all of it."""
    with scope.lifted():
        member = looking.of_machine(session, row.id)
    found = select(Rollout).where(Rollout.id == member.rollout_id) if member else None
    return (member, session.scalar(found)) if member and found is not None else None


def _attempts(session: Session, row: Machine) -> Sequence[Deployment]:
    latest = select(Deployment).where(Deployment.machine_id == row.id).order_by(Deployment.id.desc())
    return session.scalars(latest.limit(ATTEMPTS_SHOWN)).all()


def _given(session: Session, deployment: Deployment) -> Sequence[Served]:
    return session.scalars(select(Served).where(Served.deployment_id == deployment.id).order_by(Served.id)).all()


def _steps(deployment: Deployment, moment: dt.datetime) -> list[StepLine]:
    """Every step of an attempt; what a later piece of evidence implies is told apart from what was seen itself."""
    reached = {entry["step"]: entry for entry in deployment.steps}
    before = deployment.requested_at
    lines = []
    for step in STEP_WORDS:
        entry = reached.get(step)
        if entry is not None:
            at = dt.datetime.fromisoformat(entry["at"])
            lines.append(StepLine(step, "reached", at, at - before, entry["message"], entry["source"]))
            before = at
        elif steps.rank(step) < steps.rank(deployment.step):
            lines.append(StepLine(step, "implied"))
        elif deployment.outcome != SUCCEEDED and not any(line.look in ("now", "failed") for line in lines):
            look = "now" if deployment.outcome is None else "failed"
            waited = (deployment.finished_at or moment) - before
            lines.append(StepLine(step, look, took=waited, since=before, message=explain.expected(deployment)))
        else:
            lines.append(StepLine(step, "open"))
    return lines


def _events(session: Session, row: Machine) -> list[EventLine]:
    """The newest first, each with the time since the one before it."""
    found = select(Event).where(Event.machine_id == row.id).order_by(Event.id.desc()).limit(EVENTS_SHOWN + 1)
    events = session.scalars(found).all()
    pairs = zip_longest(events, events[1:])
    return [EventLine(event, event.at - before.at if before else None) for event, before in pairs][:EVENTS_SHOWN]
