"""Patch: packages by apt, dnf or yum, a Salt state, or an Ansible playbook, each as a job that outlives us.

What is sent to a machine are whole scripts (patch.sh, salt.sh), which are read by tests as they are; the spec's words
reach them as arguments.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pxeapp.errors import PxeError
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts import pinning
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.spec import Patch as PatchSpec
from pxeapp.rollouts.steps import patch_result, salt_result
from pxeapp.rollouts.steps.patch_result import Patched
from pxeapp.rollouts.steps.playbook import Playbooks
from pxeapp.rollouts.steps.walking import Ended, Work, walk

SCRIPT = (Path(__file__).parent / "patch.sh").read_text()
SALT = (Path(__file__).parent / "salt.sh").read_text()
SHOWN = 100  # changes that stand in the evidence; the log has both lists whole
LOOKING_S = 20.0  # for "is a restart needed?"


@dataclass(frozen=True, slots=True)
class Patch:
    """By the method that the spec names."""

    nodes: Nodes
    playbooks: Playbooks
    node_url: str  # where machines find the appliance's repositories

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """Begin it, follow it, and say what it changed."""
        said: PatchSpec = subject.spec.action.chosen
        if said.method == "ansible":
            return self._by_ansible(subject, said, memory, now)
        if said.method == "salt":
            state = (said.state,) if said.state else ()
            work = Work(SALT, state, said.timeout, stopped=False, called="Salt")
        else:
            arguments = arguments_of("apply", said, self.node_url)
            work = Work(SCRIPT, arguments, said.timeout, stopped=False, called="The patch")
        found = walk(self.nodes, subject, memory, work, now=now)
        if not isinstance(found, Ended):
            return found
        result = self.nodes.result(subject.machine_id, subject.token)
        if said.method == "salt":
            return self._by_salt(subject, found, result)
        return of_packages(found, patch_result.read(result))

    def _by_salt(self, subject: Subject, found: Ended, result: str) -> Outcome:
        told = salt_result.read(result)
        evidence = {"states": told.states, "changed": told.changed[:SHOWN], "failed": told.failed[:SHOWN]}
        log = found.log + "\n" + result[: 128 * 1024]
        if found.exit_code != 0 or told.failed or told.problem:
            says = told.problem or (f"{told.failed[0]}" if told.failed else found.last)
            says = f"Salt did not succeed: {says or f'exit {found.exit_code}'}"
            return Failed("salt_failed", says, "Salt's answer is in the log.", evidence, found.memory, log)
        return self._done(
            subject, found, f"Salt applied {told.states} states; {len(told.changed)} changed.", evidence, log
        )

    def _by_ansible(self, subject: Subject, said: PatchSpec, memory: Mapping[str, Any], now: dt.datetime) -> Outcome:
        found = self.playbooks.look(subject, said, memory, now=now)
        if not isinstance(found, Ended):
            return found
        if found.exit_code != 0:
            return Failed(
                "ansible_failed",
                f"The playbook {said.playbook} did not succeed: {found.last or f'exit {found.exit_code}'}",
                "Ansible's words are in the log.",
                {"playbook": said.playbook, "exit": found.exit_code},
                found.memory,
                found.log,
            )
        evidence = {"playbook": said.playbook, "recap": found.last}
        return self._done(subject, found, f"The playbook {said.playbook} succeeded: {found.last}", evidence, found.log)

    def _done(self, subject: Subject, found: Ended, says: str, evidence: Mapping[str, Any], log: str) -> Outcome:
        try:
            needed, why = reboot_needed(self.nodes, subject.machine_id)
        except PxeError as error:
            if not error.retryable:
                raise
            return Waiting(f"{says} Whether it must restart is not known yet: {error}", found.memory, log=found.log)
        remembered = {**found.memory, "reboot_needed": needed}
        return Done(says, {**evidence, "reboot_needed": needed, "reboot": why}, remembered, log)


def arguments_of(mode: str, said: PatchSpec, node_url: str) -> tuple[str, ...]:
    """What patch.sh is told."""
    named = said.packages if isinstance(said.packages, tuple) else ()
    what = "named" if named else str(said.packages)
    return (mode, what, pinning.source(said, node_url), *said.exclude, "--", *named)


def reboot_needed(nodes: Nodes, machine_id: int) -> tuple[bool, str]:
    """Whether the system asks for a restart, as its distribution tells it, and why."""
    ran = nodes.run_script(machine_id, SCRIPT, ("reboot", "all", "", "--"), LOOKING_S)
    told = patch_result.read(ran.output)
    return told.reboot, told.reboot_why


def of_packages(found: Ended, told: Patched) -> Outcome:
    """What a run of patch.sh that ended means."""
    changed = told.changed
    evidence = {
        "tool": told.tool,
        "changed": [list(each) for each in changed[:SHOWN]],
        "changed_count": len(changed),
        "held": list(told.held[:SHOWN]),
        "absent": list(told.absent[:SHOWN]),
        "packages": len(told.after or told.before),
        "reboot_needed": told.reboot,
        "reboot": told.reboot_why,
    }
    log = found.log + _lists(told)
    remembered = {**found.memory, "reboot_needed": told.reboot}
    if told.trouble is not None:
        code, sentence, hint = told.trouble
        return Failed(code, sentence, hint, evidence, remembered, log)
    if found.exit_code != 0 or not told.tool:
        says = f"The patch ended with exit code {found.exit_code}: {found.last or 'it said nothing'}"
        return Failed("failed", says, "Its words are in the log.", evidence, remembered, log)
    restart = f" {told.reboot_why}" if told.reboot else ""
    if not changed:
        return Done(f"Nothing was to be changed.{restart}", evidence, remembered, log)
    some = ", ".join(map(str, changed[:3])) + (" ..." if len(changed) > 3 else "")
    return Done(f"{len(changed)} packages changed: {some}.{restart}", evidence, remembered, log)


def _lists(told: Patched) -> str:
    """Both lists whole, behind the log: what was there before is not lost when its machine is."""
    parts = []
    for when, packages in (("before", told.before), ("after", told.after)):
        if packages:
            parts.append(f"\n== packages {when}: {len(packages)}\n")
            parts += [f"{name} {version}\n" for name, version in packages.items()]
    return "".join(parts)
