"""docs/lifecycle.md, from the tables: `python -m pxeapp.provisioning.diagram` prints it, `make golden` writes it."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable

import click

from pxeapp.machines.lifecycle import FAILED, FAILURE_OF, TRANSITIONAL, TRANSITIONS, State
from pxeapp.provisioning.steps import ORDER, WAITS, WHOLE_ATTEMPT

INTRODUCTION = """\
# The lifecycle of a machine

This page is drawn from `pxeapp/machines/lifecycle.py` and `pxeapp/provisioning/steps.py` by `make golden`; a test fails
when it is stale. The words are OpenStack Ironic's.

A *stable* state waits for an operator. A *transitional* state is worked on by the appliance, has a deadline that is
kept in the database, and has exactly one *failed* state. A change of state is a compare-and-set: of two who want the
same machine, one gets it and the other is told so.
"""
DEPLOYMENT = """\
## The steps of a deployment

While a machine is `deploying`, its deployment goes through these steps. A step is reached by evidence only and only
forwards; a later piece of evidence implies the steps before it. If the next one does not come in time the deployment
fails with the code in the last column, and `pxeapp machine explain` says what to try. Progress that the installer
reports starts the wait of `installing` anew.

After `installed` the machine runs from its own disk and, where its role has a checklist for the first boot, sets it up:
it reports each step as it begins (`setting_up`), which starts the wait anew. That is the machine's activity then: on
its page, in `pxeapp machine list` and `show`, and in `explain`, with until when it may last, where to read more
(`/var/log/pxeapp-role.log` on the machine) and how to try again there. A step that does not work is tried again for an
hour (`first_boot_minutes`); then the attempt ends with the code `setup_failed`, the step and the end of that log as its
reason. When nothing more is heard while it is set up, it ends with `setup_silent` and the step that it was at.
"""


def document() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "## States\n", _mermaid(_states()), _verb_table(), _failures(), DEPLOYMENT]
    parts += [_mermaid(_steps()), _step_table(), f"The whole attempt may take {_minutes(WHOLE_ATTEMPT)}.\n"]
    return "\n".join(parts)


def _states() -> Iterable[str]:
    """Without the failures, which have a table of their own: their arrows would hide the rest."""
    yield "direction TB"
    for state in State:
        if state not in FAILED:
            yield f'state "{state}" as {_id(state)}'
    yield f"[*] --> {_id(State.ENROLLED)}"
    for (before, verb), after in TRANSITIONS.items():
        if before not in FAILED and after not in FAILED:
            yield f"{_id(before)} --> {_id(after)}: {verb}"
    yield "classDef working font-style:italic"
    yield f"class {','.join(_id(state) for state in State if state in TRANSITIONAL)} working"


def _steps() -> Iterable[str]:
    yield "direction LR"
    for before, after in itertools.pairwise(ORDER):
        yield f"{before} --> {after}: {_minutes(WAITS[before].allowance)}"


def _mermaid(lines: Iterable[str]) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"```mermaid\nstateDiagram-v2\n{body}\n```\n"


def _verb_table() -> str:
    rows = [
        (
            f"`{state}`",
            "failed" if state in FAILED else "transitional" if state in TRANSITIONAL else "stable",
            ", ".join(f"{verb} → `{after}`" for (before, verb), after in TRANSITIONS.items() if before == state),
        )
        for state in State
    ]
    return _table(("state", "kind", "what can happen to it"), rows)


def _failures() -> str:
    return _table(
        ("while", "what goes wrong ends in"), [(f"`{one}`", f"`{other}`") for one, other in FAILURE_OF.items()]
    )


def _step_table() -> str:
    rows = [
        (f"`{step}`", _minutes(wait.allowance), wait.stalled, f"`{wait.stall_code}`") for step, wait in WAITS.items()
    ]
    rows.append((f"`{ORDER[-1]}`", "-", "the machine is `active`", "-"))
    return _table(("step", "waits at most", "if nothing comes", "code"), rows)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _id(state: State) -> str:
    return state.replace(" ", "_")


def _minutes(time: dt.timedelta) -> str:
    minutes = int(time.total_seconds()) // 60
    return f"{minutes // 60} h" if minutes % 60 == 0 and minutes > 60 else f"{minutes} min"


if __name__ == "__main__":
    click.echo(document(), nl=False)
