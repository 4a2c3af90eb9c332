"""What a patch would change on each machine, and which machines it would change alike: before a rollout is made."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pxeapp.errors import Invalid, PxeError
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.spec import Patch as PatchSpec
from pxeapp.rollouts.steps import patch_result
from pxeapp.rollouts.steps.patch import SCRIPT, arguments_of
from pxeapp.rollouts.steps.patch_result import Change

ONE_S = 120.0  # for one machine: its package lists are fetched anew
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would change on one machine."""

    tool: str
    changes: tuple[Change, ...]
    held: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Machines on which exactly the same would change."""

    machines: tuple[str, ...]
    found: DryRun


@dataclass(frozen=True, slots=True)
class PatchPreview:
    """The groups, the largest first, and the machines that could not be asked, each with the sentence why."""

    groups: tuple[Group, ...]
    not_asked: Mapping[str, str]


def patch_preview(
    nodes: Nodes, machines: Mapping[int, str], said: PatchSpec, node_url: str, *, within_s: float = 300.0
) -> PatchPreview:
    """Ask each machine (its number and name), many side by side; who has not answered in time is told as such."""
    if said.method != "packages":
        raise Invalid(f"A patch by {said.method} has no dry run.", hint="Use method: packages, or try one machine.")
    end = time.monotonic() + within_s
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="dry-run")
    found: dict[str, DryRun] = {}
    not_asked: dict[str, str] = {}
    try:
        asked = {pool.submit(_within, nodes, number, said, node_url, end): name for number, name in machines.items()}
        done, _ = concurrent.futures.wait(asked, timeout=within_s)
        for answer, name in asked.items():
            if answer not in done:
                not_asked[name] = f"It did not answer within {within_s:.0f} s."
                continue
            try:
                found[name] = answer.result()
            except PxeError as error:
                not_asked[name] = str(error)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever is late ends by the timeout of its own call
    return PatchPreview(grouped(found), not_asked)


def dry_run(nodes: Nodes, machine_id: int, said: PatchSpec, node_url: str, *, within_s: float = ONE_S) -> DryRun:
    """Ask one machine; raises PxeError with what its package manager has against it."""
    ran = nodes.run_script(machine_id, SCRIPT, arguments_of("simulate", said, node_url), within_s)
    told = patch_result.read(ran.output)
    if told.trouble is not None:
        raise Invalid(told.trouble.sentence, hint=told.trouble.hint)
    if ran.exit_code != 0 or not told.tool:
        raise Invalid(f"The dry run ended with {ran.exit_code}: {ran.errors.strip()[-200:] or 'it said nothing'}.")
    return DryRun(told.tool, tuple(sorted(told.changes)), told.held, told.absent)


def grouped(found: Mapping[str, DryRun]) -> tuple[Group, ...]:
    """Pure: machines with the same answer together, the largest group first."""
    groups: dict[DryRun, list[str]] = {}
    for name, answer in found.items():
        groups.setdefault(answer, []).append(name)
    made = (Group(tuple(sorted(names)), answer) for answer, names in groups.items())
    return tuple(sorted(made, key=lambda group: (-len(group.machines), group.machines)))


def _within(nodes: Nodes, machine_id: int, said: PatchSpec, node_url: str, end: float) -> DryRun:
    left = end - time.monotonic()
    if left < 1:
        raise Invalid("There was no time left to ask it.", hint="Preview fewer machines at once.")
    return dry_run(nodes, machine_id, said, node_url, within_s=min(ONE_S, left))
