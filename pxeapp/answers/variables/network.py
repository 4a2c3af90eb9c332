"""Variables of the network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netaddr import IPAddress

from pxeapp.answers import patterns
from pxeapp.answers.network import reading
from pxeapp.answers.variables.schema import Problem, Variable


def _network(value: Any) -> Iterable[Problem]:
    """What is wrong with it on every machine; the rest is seen where the machine is known."""
    return [(f"{each.field}: {each.problem}", each.fix) for each in reading.problems(value)]


def _addresses(value: Any) -> Iterable[Problem]:
    return [(f"{each.field}: {each.problem}", each.fix) for each in reading.problems(None, value)]


def _servers(value: Any) -> Iterable[Problem]:
    """Names as an answer file takes them, and addresses in their one spelling."""
    for number, each in enumerate(value):
        if ":" in each and (plain := str(IPAddress(each))) != each:
            yield f"entry {number}: {each!r} is not possible.", f"Write it as {plain}."
        elif ":" not in each and not patterns.DOMAIN.fullmatch(each):
            yield f"entry {number}: {each!r} is not possible.", "Write a host name or an address."


NETWORK = (
    Variable(
        "domain", help="Its domain; when nobody says it, its network's.", lower=True,
        pattern=patterns.DOMAIN.pattern, fix="Write it as rack.example.org.",
    ),
    Variable(
        "network", type="object", check=_network,
        help="Bonds, VLANs, bridges, routes, IPv6 and several addresses; see docs/networks.md.",
    ),
    Variable(
        "addresses", type="object", check=_addresses,
        help="The machine's address in each network by name, for a network that its role or cluster describes.",
    ),
    Variable(
        "ntp", type="list", items="host", help="Time servers; when nobody says them, its network's.", lower=True,
        check=_servers,
    ),
)  # fmt: skip
