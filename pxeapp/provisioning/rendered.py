"""What a machine is given, for operators' eyes: every file of its release, tokens and hashes masked."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.answers import render
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.faults import Fault
from pxeapp.machines.models import Machine
from pxeapp.provisioning import lifecycle, plan
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.makers import BOOT_KINDS
from pxeapp.provisioning.shape import Shape
from pxeapp.software import releases


def rendered(session: Session, checker: Checker, machine: Machine, *, kind: str = "") -> list[dict[str, Any]]:
    """The files of the running attempt, or of the release and role that the machine has now, with their faults."""
    release, role = lifecycle.present(session, machine)
    if release is None or role is None:
        raise Invalid(
            f"{machine.name} has no release or no role, so there is nothing to render.",
            problems=[
                FieldProblem("release" if release is None else "role", "is not set.", "PATCH the machine first.")
            ],
        )
    row = releases.get(session, release)
    spec = plan.preview(session, checker.tools, machine, release=release, role=role)
    kinds = [*BOOT_KINDS, *render.kinds(row.installer)]
    if kind and kind not in kinds:
        raise Invalid(
            f"{release} has no {kind!r}.", problems=[FieldProblem("kind", repr(kind), f"Use {', '.join(kinds)}.")]
        )
    known, shape = checker.known(row), Shape(spec)
    found = []
    for file in checker.files(spec, plan.boot_of(machine, row, spec), kind=kind):
        shown = render.mask(file.text, spec)
        found.append(
            {
                "kind": file.kind,
                "sha256": hashlib.sha256(shown.encode()).hexdigest(),
                "text": shown,
                "faults": [as_dict(fault) for fault in checker.faults_of(file, spec, known, shape)],
            }
        )
    return found


def as_dict(fault: Fault) -> dict[str, Any]:
    """A fault on the wire."""
    return {
        "line": fault.line,
        "template": fault.template,
        "template_line": fault.template_line,
        "problem": fault.problem,
        "fix": fault.fix,
        "advice": fault.advice,
        "text": str(fault),
    }
