"""The openstack gate: the machine's compute and volume services and its agents are alive in the cloud.

That a service is "up" says little right after a restart: Nova believes so for a minute after its last sign of life. So
each must have given one since this step began, by the clock of whoever answers, or ours where an answer has no date.
Whether it is enabled is not asked: the machine is still drained.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass

from pxeapp.clouds import agents, services
from pxeapp.clouds.directory import Clouds
from pxeapp.rollouts.gates.gate import TIMEOUT_S, finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import OpenStackGate
from pxeapp.sentences import few

KIND = "openstack"
NAMED = 4


@dataclass(frozen=True, slots=True)
class OpenStack:
    """Asks Nova, Cinder and Neutron for what they know of the host."""

    clouds: Clouds

    def look(self, subject: Subject, said: OpenStackGate, *, now: dt.datetime) -> Finding:
        """Whether all of them live."""
        cloud, host = _meant(subject, said)
        if not cloud:  # a preview refuses it already
            return finding(KIND, "It names no cloud, and neither does the drain.", holds=False)
        api = self.clouds.api(cloud)
        since = (now - subject.began_at).total_seconds()
        with api.within(TIMEOUT_S - 2):
            nova = services.compute(api, subject.machine, host)
            seen = [(str(each), each.up, _age(each.seen_at, api.clock or now)) for each in nova]
            cinder = services.volume(api, subject.machine, host)
            seen += [(str(each), each.up, _age(each.seen_at, api.clock or now)) for each in cinder]
            neutron = agents.on(api, subject.machine, host)
            seen += [(str(each), each.alive, _age(each.seen_at, api.clock or now)) for each in neutron]
        if not seen:
            return finding(KIND, f"{cloud} knows no service of {host or subject.machine}.", holds=False)
        bad = list(_bad(seen, since))
        if bad:
            return finding(KIND, few(bad, NAMED, comma="; ", last="; and ") + ".", holds=False)
        return finding(KIND, f"{len(seen)} services and agents are alive.", holds=True)


def _age(seen_at: dt.datetime | None, clock: dt.datetime) -> float:
    """How long ago its last sign of life was; one that never gave any has given none since."""
    return math.inf if seen_at is None else (clock - seen_at).total_seconds()


def _bad(seen: list[tuple[str, bool, float]], since: float) -> Iterator[str]:
    for name, alive, age in seen:
        if not alive:
            yield f"{name} is down"
        elif math.isinf(age):
            yield f"{name} has given no sign of life"
        elif age > since:
            yield f"{name} gave its last sign of life {age:.0f} s ago"


def _meant(subject: Subject, said: OpenStackGate) -> tuple[str, str]:
    """The cloud and the host that the gate says, and where it says none those of the drain."""
    drain = subject.spec.drain.openstack
    if drain is None:
        return said.cloud, said.host
    return said.cloud or drain.cloud, said.host or drain.host
