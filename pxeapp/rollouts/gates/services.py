"""The services gate: units are active; without names, none has failed that had not failed before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import ServicesGate
from pxeapp.sentences import few

KIND = "services"
PATIENCE_S = 8.0
FAILED = "systemctl list-units --state=failed --no-legend --plain --no-pager"
NAMED = 5


@dataclass(frozen=True, slots=True)
class Services:
    """Asks systemd. A unit that is restarted over and over is `activating` at some look, and verify counts that."""

    nodes: Nodes

    def look(self, subject: Subject, said: ServicesGate, *, now: dt.datetime) -> Finding:  # noqa: ARG002
        """Whether they are."""
        return self._these(subject, said.units) if said.units else self._none_failed(subject)

    def _these(self, subject: Subject, units: tuple[str, ...]) -> Finding:
        words = " ".join(f"'{unit}'" for unit in units)  # the spec's pattern lets no quote in
        asked = f"systemctl show --property=Id,LoadState,ActiveState,SubState -- {words}"
        ran = self.nodes.run(subject.machine_id, asked, PATIENCE_S)
        blocks = [_fields(block) for block in ran.output.strip().split("\n\n")]
        if ran.exit_code != 0 or len(blocks) != len(units):
            return finding(KIND, f"systemctl does not tell: {ran.errors.strip()[:200] or 'no answer'}.", holds=False)
        bad = [told for unit, block in zip(units, blocks, strict=True) if (told := _trouble(unit, block))]
        if bad:
            return finding(KIND, f"{few(bad, NAMED)}.", holds=False)
        return finding(KIND, f"{few(list(units), NAMED)} {'is' if len(units) == 1 else 'are'} active.", holds=True)

    def _none_failed(self, subject: Subject) -> Finding:
        ran = self.nodes.run(subject.machine_id, FAILED, PATIENCE_S)
        if ran.exit_code != 0:
            return finding(KIND, f"systemctl does not tell: {ran.errors.strip()[:200] or 'no answer'}.", holds=False)
        known = subject.earlier.get("drain", {}).get("failed_units")
        new = [unit for unit in failed_units(ran.output) if unit not in (known or ())]
        if new:
            unsure = "" if known is not None else "; whether they had failed before is not known"
            return finding(KIND, f"{few(new, NAMED)} failed{unsure}.", holds=False)
        return finding(KIND, "No unit has failed that had not failed before.", holds=True)


def failed_units(listing: str) -> list[str]:
    """The names out of what FAILED prints. Older systemds put a dot before each, whatever they are told."""
    lines = (line.lstrip("●* ").split() for line in listing.splitlines())
    return [words[0] for words in lines if words]


def _fields(block: str) -> Mapping[str, str]:
    return dict(line.partition("=")[::2] for line in block.splitlines())


def _trouble(unit: str, block: Mapping[str, str]) -> str:
    if block.get("LoadState") != "loaded":
        return f"{unit} is {block.get('LoadState') or 'unknown'}"
    if block.get("ActiveState") != "active":
        return f"{unit} is {block.get('ActiveState')} ({block.get('SubState')})"
    return ""
