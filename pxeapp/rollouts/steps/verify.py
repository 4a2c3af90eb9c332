"""Verify: every gate holds, for the settling time, before a machine serves again; and soak: they go on holding.

The time for which gates have held is added up from look to look and never across a gap in which nobody looked: neither
a clock that is set nor an appliance that was off makes a machine look steady.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.port import AGAIN, Done, Failed, Finding, Gates, Outcome, Subject, Waiting

GAP = dt.timedelta(seconds=60)  # between two looks that belong together
SOAKS_EVERY = dt.timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Verify:
    """All gates, for as long as the spec says."""

    gates: Gates

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """Hold for `verify.settle`; a gate that has held may fail again `flaps` times."""
        return _look(self.gates, subject, memory, subject.spec.verify.settle, AGAIN, now=now)


@dataclass(frozen=True, slots=True)
class Soak:
    """The machine serves and is watched: what failed after all stops the next wave."""

    gates: Gates

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """Hold for `order.soak`."""
        soak = subject.spec.order.soak
        return _look(self.gates, subject, memory, soak, min(SOAKS_EVERY, max(soak / 4, AGAIN)), now=now)


def _look(
    gates: Gates, subject: Subject, memory: Mapping[str, Any], length: dt.timedelta, again: dt.timedelta,
    *, now: dt.datetime,
) -> Outcome:  # fmt: skip
    findings = gates.check(subject, now=now)
    bad = [finding for finding in findings if not finding.holds]
    seen = {"gates": [_told(finding) for finding in findings]}
    held_s, flaps = float(memory.get("held_s", 0.0)), int(memory.get("flaps", 0))
    if bad:
        flaps += 1 if memory.get("holds") else 0
        says = " ".join(f"{finding.gate}: {finding.says}" for finding in bad)
        if flaps > subject.spec.verify.flaps:
            sentence = f"{says} It is the {flaps}. time that a gate failed after all had held."
            return Failed(f"gate_{bad[0].gate}", sentence, "Look at the machine; a service may be restarting.", seen)
        remembered = {**memory, **seen, "holds": False, "held_s": 0.0, "flaps": flaps, "at": now.isoformat()}
        return Waiting(says, remembered, again)
    passed = now - dt.datetime.fromisoformat(memory["at"]) if memory.get("holds") else dt.timedelta()
    held_s += passed.total_seconds() if dt.timedelta() <= passed <= GAP else 0.0
    if held_s >= length.total_seconds():
        for_how_long = f" for {as_text(dt.timedelta(seconds=int(held_s)))}" if held_s else ""
        return Done(f"{_count(findings)} held{for_how_long}.", {**seen, "flaps": flaps})
    left = as_text(dt.timedelta(seconds=int(length.total_seconds() - held_s) or 1))
    remembered = {**memory, **seen, "holds": True, "held_s": held_s, "flaps": flaps, "at": now.isoformat()}
    wait = min(again, dt.timedelta(seconds=max(length.total_seconds() - held_s, 1.0)))
    return Waiting(f"{_count(findings)} hold; they must for {left} more.", remembered, wait)


def _count(findings: list[Finding]) -> str:
    number = len(findings)
    return f"All {number} gates" if number > 1 else f"The gate {findings[0].gate}" if findings else "No gate was asked;"


def _told(finding: Finding) -> dict[str, Any]:
    return {"gate": finding.gate, "holds": finding.holds, "says": finding.says}
