"""The ssh gate: it answers with the key that is pinned, and runs something."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import SshGate

KIND = "ssh"
PATIENCE_S = 8.0  # beside the time to connect


@dataclass(frozen=True, slots=True)
class Ssh:
    """Signs in and asks for the load: a system that hangs may still complete a handshake."""

    nodes: Nodes

    def look(self, subject: Subject, said: SshGate, *, now: dt.datetime) -> Finding:  # noqa: ARG002 - the port's words
        """Whether a command runs on it."""
        ran = self.nodes.run(subject.machine_id, "cut -d' ' -f1-3 /proc/loadavg", PATIENCE_S)
        if ran.exit_code != 0:
            return finding(KIND, f"It answers on ssh and runs nothing: exit {ran.exit_code}.", holds=False)
        return finding(KIND, f"It answers on ssh; load {ran.output.strip()[:40]}.", holds=True)
