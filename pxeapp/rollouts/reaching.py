"""Clouds that a rollout names have to let us in before it is planned; never in a transaction: it is asked over HTTP."""

from __future__ import annotations

from pxeapp.clouds.sign_ins import SignIns
from pxeapp.errors import FieldProblem, PxeError
from pxeapp.rollouts import plan as plans
from pxeapp.rollouts import targets
from pxeapp.rollouts.spec import Spec

CHECK = "Check its address and login: pxeapp cloud check {}"


def refuse(sign_ins: SignIns, spec: Spec) -> None:
    """Raises Invalid with each cloud that cannot be asked. One that is not known is told with the plan's own faults."""
    problems = []
    for where, name in targets.clouds(spec):
        if not name:
            continue
        try:
            refusal = sign_ins.refusal(name)
        except PxeError:
            continue
        if refusal is not None:
            fix = refusal.hint or CHECK.format(name)
            problems.append(FieldProblem(where, f"We are not let in: {refusal.sentence}", fix))
    if problems:
        raise plans.refused(problems)
