"""The default route of each address family: exactly one interface has it, or it is said why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from netaddr import IPAddress, IPNetwork

from pxeapp.answers.network.reading import Said
from pxeapp.errors import FieldProblem


class Draft(Protocol):
    """A device in the making, as far as gateways go."""

    said: Said
    name: str
    networks: list[Any]
    fields: dict[str, Any]


def settle(drafts: Mapping[str, Draft], speaker: str) -> Iterable[FieldProblem]:
    """Give the default route of each family to one device; `speaker` has the boot card's addresses.

    Who says it (gateway4, default_route) has it. Else it is where the machine netboots; else where there is only one
    possibility. All the others reach their own networks and routes only.
    """
    for version in (4, 6):
        said = [draft for draft in drafts.values() if _claims(draft, version)]
        if len(said) > 1:
            yield from _several(said, version)
            continue
        for draft in said:
            yield from _take(draft, version)
        if not said:
            yield from _implied(drafts, speaker, version)


def _claims(draft: Draft, version: int) -> bool:
    options = draft.said.options
    if f"gateway{version}" in options:
        return True
    return bool(options.get("default_route")) and _speaks(draft, version)


def _speaks(draft: Draft, version: int) -> bool:
    return _dynamic(draft, version) or bool(_static(draft, version))


def _dynamic(draft: Draft, version: int) -> bool:
    return any(draft.fields.get(word) for word in (("dhcp4",) if version == 4 else ("accept_ra",)))


def _static(draft: Draft, version: int) -> list[str]:
    return [each for each in draft.fields.get("addresses", ()) if (":" in each) == (version == 6)]


def _known_gateway(draft: Draft, version: int) -> str | None:
    """The gateway of a network that it has an address in."""
    for network in draft.networks:
        if network.gateway and (":" in network.cidr) == (version == 6) and _static(draft, version):
            return str(network.gateway)
    return None


def _several(said: list[Draft], version: int) -> Iterable[FieldProblem]:
    first, second = said[:2]
    word = f"gateway{version}" if f"gateway{version}" in second.said.options else "default_route"
    fix = "Keep one default route; reach the rest by routes."
    problem = f"{second.name} and {first.name} both claim the IPv{version} default route."
    yield FieldProblem(f"{second.said.where}.{word}", problem, fix)


def _take(draft: Draft, version: int) -> Iterable[FieldProblem]:
    gateway = draft.said.options.get(f"gateway{version}") or _known_gateway(draft, version)
    where = f"{draft.said.where}.gateway{version}"
    if gateway is None and not _dynamic(draft, version):
        fix = f"Write gateway{version}, or give its network a gateway."
        yield FieldProblem(where, "is missing, and default_route is said.", fix)
        return
    if gateway is not None:
        yield from _reach(draft, version, gateway, where)
        draft.fields[f"gateway{version}"] = gateway
    draft.fields[f"default{version}"] = True


def _reach(draft: Draft, version: int, gateway: str, where: str) -> Iterable[FieldProblem]:
    static = _static(draft, version)
    if not static:
        how = "by DHCP, and so does its gateway" if version == 4 else "by advertisements, and so does its router"
        why = f"its addresses come {how}" if _dynamic(draft, version) else f"it has no IPv{version} address"
        yield FieldProblem(where, f"cannot be used: {why}.", f"Leave it out, or write addresses with IPv{version}.")
    elif any(gateway == each.partition("/")[0] for each in static):
        yield FieldProblem(where, f"{gateway} is the machine itself.", "Write the router's address.")
    elif not reaches(static, gateway):
        fix = "Write a router in one of its networks."
        yield FieldProblem(where, f"{gateway} cannot be reached from {', '.join(static)}.", fix)


def _implied(drafts: Mapping[str, Draft], speaker: str, version: int) -> Iterable[FieldProblem]:
    possible = [
        draft
        for draft in drafts.values()
        if draft.said.options.get("default_route") is not False
        and (_known_gateway(draft, version) or _dynamic(draft, version))
    ]
    booted = [draft for draft in possible if draft.name == speaker]
    static = [draft for draft in possible if _known_gateway(draft, version)]
    chosen = booted or (static if len(static) == 1 else possible)
    if len(chosen) > 1:
        first, second = chosen[:2]
        fix = "Write default_route: true at the one that has it."
        problem = f"{second.name} and {first.name} could both have the IPv{version} default route."
        yield FieldProblem(f"{second.said.where}.default_route", problem, fix)
        return
    for draft in chosen:
        yield from _take(draft, version)


@lru_cache(maxsize=4096)
def _in(address: str, other: str) -> bool:
    return IPAddress(other) in IPNetwork(address)


def reaches(addresses: Iterable[str], other: str) -> bool:
    """Whether one of the addresses has the other in its own network; a link-local one is on every link."""
    return IPAddress(other).is_link_local() or any(
        _in(address, other) for address in addresses if (":" in address) == (":" in other)
    )
