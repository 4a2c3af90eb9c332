"""Reboot: asked for on the machine, and forced by its BMC when that does nothing; seen by its boot id.

A kernel makes a new boot id each time that it starts (/proc/sys/kernel/random/boot_id): another one than before the
reboot is the only proof. Where nobody can look into the machine, that its BMC saw it off and on again must do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines.models import Bmc
from pxeapp.rollouts.course import PATCH, RUN
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.steps.before import Shell

# In a moment, so that the answer to the command still gets out.
RESTART = "systemctl reboot --no-wall 2>/dev/null || (sleep 1; reboot) >/dev/null 2>&1 &"
PATIENCE = dt.timedelta(minutes=15)  # for a machine that was asked: shutting down services may take long
AGAIN = dt.timedelta(seconds=5)
SHELL_S = 15.0


@dataclass(frozen=True, slots=True)
class Reboot:
    """Over ssh where the machine can be reached so, by the BMC where not or where it does not obey."""

    database: Database
    shell: Shell

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """One thing at a time: what it runs now, ask, force, see."""
        if why := _not_needed(subject):
            return Done(why)
        if "power_action" in memory:
            return self._forced(subject, memory)
        if not self.shell.reaches(subject.machine_id):
            return self._force(subject, memory, "It cannot be reached by ssh.", now=now)
        before = memory.get("boot_id")  # read by this step itself: somebody may have restarted it since it was drained
        try:
            present = self._boot_id(subject)
        except PxeError as error:
            if not error.retryable:
                return self._force(subject, memory, str(error), now=now)
            present = None
        if present and before and present != before:
            return Done("It runs again: its boot id is a new one.", {"boot_id": present, "before": before})
        if not before:
            if present is None:
                return self._patient(subject, memory, "It does not answer yet; its boot id is not known.", now=now)
            return Waiting("Its boot id is known.", {**memory, "boot_id": present}, dt.timedelta())
        if "asked" not in memory:
            # Written down before it is asked. Asked twice it still restarts once: the second finds it shutting down.
            return Waiting(
                "It is asked to restart.", {**memory, "boot_id": before, "asked": subject.token}, dt.timedelta()
            )
        if present == before and "sent" not in memory:
            self._ask(subject)
            return Waiting("It was asked to restart.", {**memory, "sent": True}, AGAIN)
        return self._patient(subject, memory, "It was asked to restart, and has not come back yet.", now=now)

    def _boot_id(self, subject: Subject) -> str | None:
        return self.shell.boot_id(subject.machine_id)[:36] or None

    def _ask(self, subject: Subject) -> None:
        try:
            self.shell.run(subject.machine_id, RESTART, SHELL_S)
        except PxeError as error:
            if not error.retryable:
                raise  # else the connection went with the machine

    def _patient(self, subject: Subject, memory: Mapping[str, Any], says: str, *, now: dt.datetime) -> Outcome:
        if now - subject.began_at < PATIENCE:
            return Waiting(says, memory, AGAIN)
        return self._force(subject, memory, says, now=now)

    def _force(self, subject: Subject, memory: Mapping[str, Any], why: str, *, now: dt.datetime) -> Outcome:
        """Order the BMC's cycle, once: the order carries our name, and is found again after a crash."""
        with self.database.write() as session:
            if session.scalar(select(Bmc.id).where(Bmc.machine_id == subject.machine_id)) is None:
                return Failed("no_way_to_reboot", f"{why} It has no BMC either.", "Restart it by hand, then retry.")
            by = f"system:{subject.token}"
            number = session.scalar(
                select(PowerAction.id)
                .where(PowerAction.machine_id == subject.machine_id, PowerAction.requested_by == by)
                .limit(1)
            )
            if number is None:
                action = power.request(session, machine_id=subject.machine_id, goal="cycle", requested_by=by, now=now)
                session.flush()
                number = action.id
        return Waiting(f"{why} Its BMC switches it off and on.", {**memory, "power_action": number}, AGAIN)

    def _forced(self, subject: Subject, memory: Mapping[str, Any]) -> Outcome:
        with self.database.read() as session:
            action = session.get_one(PowerAction, memory["power_action"])
        if action.outcome is None:
            return Waiting("Its BMC switches it off and on.", memory, AGAIN)
        if action.outcome != power.DONE:
            return Failed(f"bmc_{action.error_code or action.outcome}", action.error or "Its BMC did not do it.")
        evidence = {"power_action": action.id}
        if not self.shell.reaches(subject.machine_id):
            return Done("Its BMC saw it off and on again.", evidence)
        before = memory.get("boot_id")
        try:
            present = self._boot_id(subject)
        except PxeError:
            present = None
        if present and present != before:
            return Done("It runs again: its boot id is a new one.", {**evidence, "boot_id": present, "before": before})
        return Waiting("It was switched on, and does not answer yet.", memory, AGAIN)


def _not_needed(subject: Subject) -> str:
    kind = subject.spec.action.kind
    if kind == "reboot" or subject.spec.reboot == "always":
        return ""
    if subject.spec.reboot == "never":
        return "Not restarted: the rollout says never."
    work = subject.earlier.get(PATCH if kind == "patch" else RUN, {})
    return "" if work.get("reboot_needed") else "No restart is needed."
