"""What is remembered of a machine before anything is done to it, so that afterwards it can be told what is new.

Its boot id, the units that have failed already, and the last entry of its BMC's event log. What cannot be read is left
out: a machine without ssh or without a BMC is drained all the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.rollouts.gates import sel
from pxeapp.rollouts.port import Subject

TRIES = 3  # to look into the machine
EVENT_LOG_TIME = dt.timedelta(minutes=4)  # bmc.orders gives one reading three minutes
FAILED_UNITS = "systemctl list-units --state=failed --plain --no-legend --no-pager"
SHELL_S = 15.0
MOST_UNITS = 200


class Ran(Protocol):
    """What a command left."""

    @property
    def exit_code(self) -> int: ...
    @property
    def output(self) -> str: ...


class Shell(Protocol):
    """Runs a short command on a machine; nodes.reach.Nodes is one."""

    def reaches(self, machine_id: int) -> bool:
        """Whether its host keys are known."""
        ...

    def boot_id(self, machine_id: int) -> str:
        """Raises PxeError, retryable when it does not answer."""
        ...

    def run(self, machine_id: int, command: str, timeout_s: float) -> Ran:
        """The same."""
        ...


@dataclass(frozen=True, slots=True)
class Before:
    """Looks until all is known that can be; `before` in a step's memory says that it is."""

    database: Database
    shell: Shell

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> tuple[dict[str, Any], str]:
        """What is known now, and what is waited for; nothing is waited for once `before` is in it."""
        known = dict(memory)
        if says := self._event_log(subject, known, now=now):
            return known, says
        if says := self._machine(subject, known):
            return known, says
        known["before"] = True
        return known, ""

    def _machine(self, subject: Subject, known: dict[str, Any]) -> str:
        if "boot_id" in known or not self.shell.reaches(subject.machine_id):
            return ""
        tried = int(known.get("asked", 0))
        if tried >= TRIES:
            return ""
        try:
            boot_id = self.shell.boot_id(subject.machine_id)
            ran = self.shell.run(subject.machine_id, FAILED_UNITS, SHELL_S)
        except PxeError as error:
            known["asked"] = tried + 1 if error.retryable else TRIES
            return f"It is looked into once more: {error}" if known["asked"] < TRIES else ""
        if boot_id:
            known["boot_id"] = boot_id
        if ran.exit_code == 0:
            known["failed_units"] = [line.split()[0] for line in ran.output.splitlines() if line.strip()][:MOST_UNITS]
        return ""

    def _event_log(self, subject: Subject, known: dict[str, Any], *, now: dt.datetime) -> str:
        """Only where a gate asks for it, it is read first: what is in it already is then not taken for new."""
        if "sel_seen" in known:
            return ""
        wanted = any(gate.kind == sel.KIND for gate in subject.spec.verify.gates)
        if wanted and now - subject.began_at < EVENT_LOG_TIME:
            with self.database.read() as session:
                there = sel.has_bmc(session, subject.machine_id)
            problem = sel.read_since(self.database, subject.machine_id, subject.began_at, now=now) if there else ""
            if problem:
                return f"Before it is drained: {problem}"
        with self.database.read() as session:
            known["sel_seen"] = sel.newest(session, subject.machine_id)
        return ""
