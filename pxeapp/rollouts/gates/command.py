"""The command gate: a command of the operator's own on the machine exits with 0."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import CommandGate

KIND = "command"
SAID = 200  # characters of what it says that are shown


@dataclass(frozen=True, slots=True)
class Command:
    """Run as root, with nothing to read, and ended after its time."""

    nodes: Nodes

    def look(self, subject: Subject, said: CommandGate, *, now: dt.datetime) -> Finding:  # noqa: ARG002
        """Whether it exits with 0."""
        seconds = said.timeout.total_seconds()
        ran = self.nodes.run(subject.machine_id, said.command, seconds)
        last = (ran.output.strip() or ran.errors.strip()).rpartition("\n")[2][-SAID:]
        told = f": {last}" if last else ""
        if ran.exit_code == 124:
            return finding(KIND, f"The command did not end within {seconds:.0f} s{told}.", holds=False)
        if ran.exit_code != 0:
            return finding(KIND, f"The command exited with {ran.exit_code}{told}.", holds=False)
        return finding(KIND, f"The command exited with 0{told}.", holds=True)
