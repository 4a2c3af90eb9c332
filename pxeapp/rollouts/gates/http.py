"""The http gate: a URL answers with the status that was said, and with the text that must be in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from netaddr import IPNetwork

from pxeapp.db import Database
from pxeapp.rollouts.gates import asking
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import HttpGate

KIND = "http"


@dataclass(frozen=True, slots=True)
class Http:
    """Asks once; redirects are not followed, so that what is looked at is what was written."""

    database: Database
    networks: Sequence[IPNetwork]

    def look(self, subject: Subject, said: HttpGate, *, now: dt.datetime) -> Finding:  # noqa: ARG002 - the port's words
        """Whether the answer is the right one."""
        url = asking.filled_in(self.database, subject, said.url, in_url=True)
        reply = asking.get(url, self.networks)
        if reply.status != said.status:
            more = " Redirects are not followed." if reply.status in range(300, 400) else ""
            return finding(KIND, f"It answers {reply.status}, not {said.status}.{more}", holds=False)
        if said.contains and said.contains not in reply.text:
            where = "its answer" if reply.whole else f"the first {asking.MOST_BYTES // 1024} KB of its answer"
            return finding(KIND, f"It answers {reply.status}, without {said.contains[:60]!r} in {where}.", holds=False)
        return finding(KIND, f"It answers {reply.status}.", holds=True)
