"""What a gate is: one question about one machine, answered without changing anything."""

from __future__ import annotations

import datetime as dt
from typing import Any, Protocol

from pxeapp.rollouts.port import Finding, Subject

TIMEOUT_S = 20.0  # a gate that has no answer by then does not hold; all of them are asked side by side


class GateLook(Protocol):
    """One kind of gate. `said` is the part of spec.py that belongs to it: HttpGate, SshGate, ..."""

    def look(self, subject: Subject, said: Any, *, now: dt.datetime) -> Finding:
        """Whether it holds, in a sentence; returns within TIMEOUT_S.

        What cannot be asked does not hold: it may raise a PxeError, whose sentence becomes the finding.
        """
        ...


def finding(kind: str, said: str, *, holds: bool) -> Finding:
    """A finding of this kind."""
    return Finding(kind, holds, said)
