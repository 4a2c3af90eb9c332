"""What a rollout names outside has to let us in before it is planned. Never in a transaction: it takes its time.

Clouds by their API, the machine with Swift's builder files over ssh. What is not known at all is told with the plan's
own faults (targets.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from pxeapp.clouds.sign_ins import SignIns
from pxeapp.db import Database
from pxeapp.errors import FieldProblem, PxeError
from pxeapp.nodes.reach import Nodes
from pxeapp.refusals import Refusals
from pxeapp.rollouts import plan as plans
from pxeapp.rollouts import targets
from pxeapp.rollouts.rings import site
from pxeapp.rollouts.spec import Spec

CHECK = "Check its address and login: pxeapp cloud check {}"


class Reaching:
    """Made once for each process, as it remembers for a moment what it was told."""

    def __init__(self, database: Database, sign_ins: SignIns, nodes: Nodes) -> None:
        self._database = database
        self._sign_ins = sign_ins
        self._nodes = nodes
        self._rings = Refusals()

    def refuse(self, spec: Spec) -> None:
        """Raises Invalid with each cloud, and the machine with the rings, that cannot be asked."""
        problems = [*self._clouds(spec), *self._builders(spec)]
        if problems:
            raise plans.refused(problems)

    def _clouds(self, spec: Spec) -> Iterator[FieldProblem]:
        for where, name in targets.clouds(spec):
            if not name:
                continue
            try:
                refusal = self._sign_ins.refusal(name)
            except PxeError:
                continue
            if refusal is not None:
                fix = refusal.hint or CHECK.format(name)
                yield FieldProblem(where, f"We are not let in: {refusal.sentence}", fix)

    def _builders(self, spec: Spec) -> Iterator[FieldProblem]:
        said = spec.drain.swift
        if said is None:
            return
        try:
            number = site.number(self._database, said.rings)
        except PxeError:
            return
        refusal = self._rings.of(
            (number, said.builders), lambda: site.look(self._nodes, number, said.rings, said.builders)
        )
        if refusal is not None:
            yield FieldProblem("drain.swift.rings", refusal.sentence, refusal.hint or "")
