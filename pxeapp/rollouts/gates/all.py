"""All gates of a rollout, asked side by side: one that hangs costs the others nothing."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
from collections.abc import Mapping

from pxeapp.errors import PxeError
from pxeapp.rollouts.gates.gate import TIMEOUT_S, GateLook, finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import Gate

AT_ONCE = 8
PATIENCE_S = 40.0  # for all of them together; below port.LOOK_S


class AllGates:
    """port.Gates, composed of one look for each kind."""

    def __init__(self, looks: Mapping[str, GateLook], *, patience_s: float = PATIENCE_S) -> None:
        self._looks = looks
        self._patience_s = patience_s

    def check(self, subject: Subject, *, now: dt.datetime) -> list[Finding]:
        """One finding for each gate, in the order of the spec."""
        gates = subject.spec.verify.gates
        if not gates:
            return []
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=min(AT_ONCE, len(gates)), thread_name_prefix="gate")
        try:
            asked = [pool.submit(self._look, subject, gate, now) for gate in gates]
            concurrent.futures.wait(asked, timeout=self._patience_s)
            return [
                answer.result() if answer.done() and not answer.cancelled() else _late(gate)
                for gate, answer in zip(gates, asked, strict=True)
            ]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever is late ends by the timeouts of its own calls

    def _look(self, subject: Subject, gate: Gate, now: dt.datetime) -> Finding:
        look = self._looks.get(gate.kind)
        if look is None:
            return finding(gate.kind, f"This appliance has no gate {gate.kind}.", holds=False)
        try:
            return look.look(subject, gate.chosen, now=now)
        except PxeError as error:
            return finding(gate.kind, str(error), holds=False)


def _late(gate: Gate) -> Finding:
    return finding(gate.kind, f"No answer within {TIMEOUT_S:.0f} s.", holds=False)
