"""Settings as they are in effect, and what the doctor finds: looked at on demand, in the background."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pxeapp import audit, config
from pxeapp.api.context import actor, context
from pxeapp.config import Settings
from pxeapp.db import now
from pxeapp.errors import Conflict
from pxeapp.ui.blueprint import bp
from pxeapp.ui.language import _

WITHIN_S = 180.0  # for all checks together; each has its own limit
ENDED = 286  # htmx's own status: take this, and ask no more
_one_at_a_time = threading.Lock()


@bp.get("/settings")
def settings() -> ResponseReturnValue:
    """Every setting with its value, where that comes from, and what it would be otherwise."""
    return render_template("settings.html", settings=config.effective(context().settings), **_found())


@bp.get("/settings/doctor")
def doctor_part() -> ResponseReturnValue:
    """What the doctor found."""
    found = _found()
    return render_template("_doctor.html", **found), HTTPStatus.OK if found["running"] else ENDED


@bp.post("/settings/doctor")
def run_doctor() -> ResponseReturnValue:
    """Look at everything, in a process of its own: a check that hangs takes nothing of ours with it."""
    own = context()
    if not _begin(own.settings):
        raise Conflict(_("The doctor is looking already; wait for what it finds."))
    with own.database.write() as session:
        audit.record(session, at=now(), actor=actor().label, action="doctor.run", subject="appliance")
    threading.Thread(target=_look, args=(own.settings,), name="doctor", daemon=True).start()
    return redirect(url_for("ui.settings", _anchor="doctor"), 303)


def _result(settings: Settings) -> Path:
    return settings.run_dir / "doctor.json"


def _mark(settings: Settings) -> Path:
    return settings.run_dir / "doctor.running"


def _begin(settings: Settings) -> bool:
    """Whether it is ours to look: of several who ask, in whichever process, one looks."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time:
        if _is_running(settings):
            return False
        _mark(settings).unlink(missing_ok=True)  # of a process that was killed
        try:
            os.close(os.open(_mark(settings), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True


def _is_running(settings: Settings) -> bool:
    try:
        age = now().timestamp() - _mark(settings).stat().st_mtime
    except OSError:
        return False
    return age < WITHIN_S + 10


def _look(settings: Settings) -> None:
    """Called in a thread of its own; whatever happens, a result is left and the mark is taken away."""
    found: dict[str, Any]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pxeapp", "doctor", "--json"],
            capture_output=True, text=True, timeout=WITHIN_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        found = {"items": json.loads(done.stdout)["items"]}
    except subprocess.TimeoutExpired:
        found = {"problem": "timeout"}
    except (OSError, ValueError, KeyError):
        found = {"problem": "broken"}
    found["at"] = now().isoformat()
    draft = _result(settings).with_suffix(".draft")
    try:
        draft.write_text(json.dumps(found))
        draft.chmod(0o600)
        draft.replace(_result(settings))
    finally:
        _mark(settings).unlink(missing_ok=True)


def _found() -> dict[str, Any]:
    """The last findings, those that need somebody first."""
    own = context().settings
    try:
        kept = json.loads(_result(own).read_text())
        at = dt.datetime.fromisoformat(kept["at"])
    except (OSError, ValueError, KeyError):
        kept, at = {}, None
    problems = {
        "timeout": _("It did not end within %(seconds)s s.", seconds=int(WITHIN_S)),
        "broken": _("It could not be run; try pxeapp doctor on the appliance itself."),
    }
    order = {"fail": 0, "warn": 1}
    return {
        "running": _is_running(own),
        "at": at,
        "findings": sorted(kept.get("items", []), key=lambda each: order.get(each["status"], 2)),
        "problem": problems.get(kept.get("problem", ""), ""),
    }
