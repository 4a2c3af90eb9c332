"""The rebooted gate: the kernel's boot id is another one than before the machine was drained."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import RebootedGate

KIND = "rebooted"
STEPS = ("reboot", "reinstall")  # that make a new boot id, where they were done


@dataclass(frozen=True, slots=True)
class Rebooted:
    """Holds where nothing was to be restarted, as the reboot step said."""

    nodes: Nodes

    def look(self, subject: Subject, said: RebootedGate, *, now: dt.datetime) -> Finding:  # noqa: ARG002
        """Whether it runs since another boot."""
        if not _restarted(subject):
            return finding(KIND, "No restart was needed.", holds=True)
        before = subject.earlier.get("drain", {}).get("boot_id")
        if not before:
            return finding(KIND, "Its boot id before is not known; it was not asked for one.", holds=True)
        present = self.nodes.boot_id(subject.machine_id)
        if not present or present == before:
            return finding(KIND, "Its boot id is still the one of before: it was not restarted.", holds=False)
        return finding(KIND, "Its boot id is a new one.", holds=True)


def _restarted(subject: Subject) -> bool:
    """As the steps before it decided: the action restarts, the rollout always does, or the patch asked for it."""
    action, spec = subject.spec.action.kind, subject.spec
    if action in STEPS or spec.reboot == "always":
        return True
    return spec.reboot == "needed" and bool(subject.earlier.get(action, {}).get("reboot_needed"))
