"""Run: a runbook of the operator's own on the machine, such as a firmware update, as a job that outlives us."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pxeapp.errors import PxeError
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.spec import Run as RunSpec
from pxeapp.rollouts.steps.patch import reboot_needed
from pxeapp.rollouts.steps.walking import Ended, Work, walk

REBOOT = 194  # an exit code of its own: done, and the machine is to be restarted


@dataclass(frozen=True, slots=True)
class Run:
    """The command, by a shell as root. It exits with 0, or with 194 where it wants a restart."""

    nodes: Nodes

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """Begin it, follow it, and say how it ended."""
        said: RunSpec = subject.spec.action.chosen
        work = Work(said.command + "\n", (), said.timeout, stopped=True, called="The command")
        found = walk(self.nodes, subject, memory, work, now=now)
        if not isinstance(found, Ended):
            return found
        evidence = {"exit": found.exit_code, "last": found.last}
        if found.exit_code not in (0, REBOOT):
            says = f"The command exited with {found.exit_code}: {found.last or 'it said nothing'}"
            return Failed("command_failed", says, "Its words are in the log.", evidence, found.memory, found.log)
        needed, why = found.exit_code == REBOOT, "The command asks for it."
        if not needed:
            try:
                needed, why = reboot_needed(self.nodes, subject.machine_id)
            except PxeError as error:
                if not error.retryable:
                    raise
                return Waiting(f"The command succeeded. {error}", found.memory, log=found.log)
        told = f"The command succeeded{f': {found.last}' if found.last else '.'}"
        remembered = {**found.memory, "reboot_needed": needed}
        return Done(told, {**evidence, "reboot_needed": needed, "reboot": why}, remembered, found.log)
