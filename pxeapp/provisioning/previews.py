"""What one machine would be given if something were saved: every file of it, now and then, with what is wrong then."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.answers import render
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.machines import selectors
from pxeapp.provisioning import differences, diffs, proposals
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.diffs import Look, Standing
from pxeapp.provisioning.proposals import Means, Proposal
from pxeapp.provisioning.rendered import as_dict
from pxeapp.provisioning.shape import Shape
from pxeapp.provisioning.veil import Veil


@dataclass
class Side:
    """The files of a machine on one side, masked, by kind; or why there are none."""

    texts: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problem: str = ""


def preview(session: Session, look: Look, proposal: Proposal, key: str, *, now: dt.datetime) -> dict[str, Any]:
    """The files of a machine as they are and as they would be; raises Invalid for what could not be saved.

    Nothing is written. A changed secret is masked by other stars, see veil.py.
    """
    with proposals.never_written(session):
        machine = selectors.get(session, key)
        name = machine.name
        running = diffs.running_now(session)
        (before,) = diffs.standings(session, look, [machine], running, {})
        means = Means(look.tools.vault, look.tools.templates, look.site)
        clusters = proposals.put(session, means, proposal, [machine], now=now)
        (after,) = diffs.standings(session, look, [machine], running, clusters)
    if after.release is None or after.role is None:
        lacking = "release" if after.release is None else "role"
        problem = FieldProblem(lacking, "is not set.", "Set it, or choose another machine.")
        raise Invalid(f"{name} has no {lacking}, so it would be given nothing.", problems=[problem])
    veil = Veil()
    present, then = _side(look.checker, before, veil), _side(look.checker, after, veil)
    return {
        "machine": name,
        "problem": then.problem,
        "problem_now": present.problem,
        "files": [_file(kind, present, then) for kind in dict.fromkeys([*then.texts, *present.texts])],
    }


def _file(kind: str, present: Side, then: Side) -> dict[str, Any]:
    before, after = present.texts.get(kind, ""), then.texts.get(kind, "")
    return {
        "kind": kind,
        "before": before,
        "after": after,
        "changed": before != after,
        "diff": differences.unified(before, after, old="now", new="then"),
        "faults": then.faults.get(kind, []),
    }


def _side(checker: Checker, standing: Standing, veil: Veil) -> Side:
    side = Side(problem=standing.problem)
    spec, boot = standing.spec, standing.boot
    if spec is None or boot is None:
        return side
    shape = Shape(spec)
    try:
        for file in checker.files(spec, boot):
            side.texts[file.kind] = render.mask(file.text, spec, veil.hide)
            side.faults[file.kind] = [as_dict(each) for each in checker.faults_of(file, spec, standing.known, shape)]
    except PxeError as error:
        side.problem = error.in_full
    return side
