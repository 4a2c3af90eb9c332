"""The prometheus gate: a query gives at least one sample, and each is true.

As PromQL has it, `up{instance="node1:9100"} == 1` gives no sample at all where the comparison does not hold, which this
gate takes for false; `== bool 1` gives one that is 0.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from netaddr import IPNetwork

from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.rollouts.gates import asking
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import PrometheusGate
from pxeapp.sentences import few

KIND = "prometheus"
NAMED = 3  # samples that are not true


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Asks /api/v1/query for this very moment."""

    database: Database
    networks: Sequence[IPNetwork]

    def look(self, subject: Subject, said: PrometheusGate, *, now: dt.datetime) -> Finding:  # noqa: ARG002
        """Whether every sample is true."""
        query = asking.filled_in(self.database, subject, said.query, in_url=False)
        server = asking.filled_in(self.database, subject, said.server, in_url=True)
        reply = asking.get(f"{server.rstrip('/')}/api/v1/query?{urlencode({'query': query})}", self.networks)
        samples = _samples(reply)
        if not samples:
            return finding(KIND, "The query gives no sample.", holds=False)
        untrue = [f"{name} is {text}" for name, text, value in samples if math.isnan(value) or value == 0]
        if untrue:
            return finding(KIND, few(untrue, NAMED, last=", and ") + ".", holds=False)
        all_of_them = f"{len(samples)} samples, all true." if len(samples) > 1 else "1 sample, all true."
        return finding(KIND, all_of_them, holds=True)


def _samples(reply: asking.Reply) -> list[tuple[str, str, float]]:
    """Labels, text and value of each sample; raises PxeError for an answer that has none to read."""
    try:
        said: dict[str, Any] = json.loads(reply.body)
        if said["status"] != "success":
            raise PxeError(f"Prometheus says: {_line(said.get('error', said['status']))}")
        kind, result = said["data"]["resultType"], said["data"]["result"]
        if kind == "scalar":
            return [("It", str(result[1]), float(result[1]))]
        if kind == "vector":
            return [(_labels(row["metric"]), str(row["value"][1]), float(row["value"][1])) for row in result]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise PxeError(f"The answer ({reply.status}) is none of Prometheus's.") from None
    raise PxeError(f"The query gives a {_line(kind)}; ask for an instant vector or a scalar.")


def _labels(metric: dict[str, Any]) -> str:
    name = str(metric.get("__name__", ""))
    labels = ",".join(f"{key}={value}" for key, value in sorted(metric.items()) if key != "__name__")
    return _line(f"{name}{{{labels}}}")


def _line(said: object) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in str(said))[:120]
