"""What must hold among a machine's devices: members, links, addresses, sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pxeapp.answers.network.gateways import reaches
from pxeapp.answers.network.plan import Bond, Ethernet, NetworkPlan, Vlan
from pxeapp.answers.network.reading import FIELD, Said
from pxeapp.errors import FieldProblem

DEFAULT_MTU = 1500
LEAST_MTU_6 = 1280  # RFC 8200
OWN_WORDS = ("network", "addresses", "dhcp4", "dhcp6", "accept_ra", "gateway4", "gateway6", "default_route", "routes")


class Draft(Protocol):
    """A device in the making."""

    said: Said
    name: str
    members: tuple[str, ...]
    link: str
    card: Any
    fields: dict[str, Any]


Drafts = Mapping[str, Draft]


def structure(drafts: Drafts) -> Iterable[FieldProblem]:
    """Who may stand on whom."""
    owner: dict[str, Draft] = {}
    for draft in drafts.values():
        where = f"{draft.said.where}.members"
        for name in draft.members:
            if name in owner and owner[name] is not draft:
                fix = "A member belongs to one bond or bridge; take it out of the other."
                yield FieldProblem(where, f"{name} is a member of {owner[name].name} already.", fix)
            owner.setdefault(name, draft)
            if draft.said.kind == "bonds" and drafts[name].card is None:
                yield FieldProblem(where, f"{name} is no network card.", "A bond is made of cards.")
        if len(set(draft.members)) < len(draft.members):
            yield FieldProblem(where, "names a card twice.", "Name each member once.")
        primary = draft.fields.get("primary")
        if primary is not None and primary not in draft.members:
            yield FieldProblem(f"{draft.said.where}.primary", f"{primary} is no member of it.", "Name a member.")
    for draft in drafts.values():
        if draft.link and draft.link in owner and owner[draft.link].said.kind == "bonds":
            fix = f"Put the VLAN on {owner[draft.link].name}."
            problem = f"{draft.link} is a member of {owner[draft.link].name}."
            yield FieldProblem(f"{draft.said.where}.link", problem, fix)
        if draft.link and drafts[draft.link].said.kind == "vlans":
            fix = "Put it on the card, bond or bridge."
            yield FieldProblem(f"{draft.said.where}.link", f"{draft.link} is a VLAN itself.", fix)
        if draft.name in owner and (said := [word for word in OWN_WORDS if word in draft.said.options]):
            above = owner[draft.name].name
            where = f"{draft.said.where}.{said[0]}"
            yield FieldProblem(where, f"is not possible: it is a member of {above}.", f"Say it at {above}.")
    yield from _loops(drafts)


def _loops(drafts: Drafts) -> Iterable[FieldProblem]:
    done: set[str] = set()
    for start in drafts:
        path: list[str] = []
        if (circle := _circle(drafts, start, path, done)) is not None:
            draft = drafts[circle[0]]
            word = "link" if draft.link else "members"
            way = " on ".join([*circle, circle[0]])
            yield FieldProblem(f"{draft.said.where}.{word}", f"runs in a circle: {way}.", "Break it at one place.")
            return


def _circle(drafts: Drafts, name: str, path: list[str], done: set[str]) -> list[str] | None:
    if name in path:
        return path[path.index(name) :]
    if name in done:
        return None
    path.append(name)
    draft = drafts[name]
    for below in (*draft.members, *([draft.link] if draft.link else [])):
        if (found := _circle(drafts, below, path, done)) is not None:
            return found
    path.pop()
    done.add(name)
    return None


def addressing(drafts: Drafts) -> Iterable[FieldProblem]:
    """Addresses, VLAN ids and routes: each once, each reachable."""
    holder: dict[str, Draft] = {}
    tagged: dict[tuple[str, int], Draft] = {}
    for draft in drafts.values():
        for address in draft.fields.get("addresses", ()):
            other = holder.setdefault(address.partition("/")[0], draft)
            if other is not draft:
                where = f"{draft.said.where}.addresses"
                fix = "Give each interface an address of its own."
                yield FieldProblem(where, f"{address} is {other.name}'s already.", fix)
        if draft.said.kind == "vlans":
            other = tagged.setdefault((draft.link, draft.fields["id"]), draft)
            if other is not draft:
                where = f"{draft.said.where}.id"
                problem = f"VLAN {draft.fields['id']} on {draft.link} is {other.name} already."
                yield FieldProblem(where, problem, "Use one of the two.")
            yield from _tag_in_name(draft, drafts)
        yield from _routes(draft)
    if not any(_reachable(draft) for draft in drafts.values()):
        fix = "Give one interface addresses, a network, or dhcp4: true."
        yield FieldProblem(FIELD, "leaves the machine without any address.", fix)


def _tag_in_name(draft: Draft, drafts: Drafts) -> Iterable[FieldProblem]:
    """bond0.120 is VLAN 120 on bond0 for everybody who reads it, ifupdown included."""
    parent, dot, number = draft.name.rpartition(".")
    if not dot:
        parent, number = "", draft.name.removeprefix("vlan") if draft.name.startswith("vlan") else ""
    if number.isdigit() and int(number) != draft.fields["id"]:
        problem = f"VLAN {draft.fields['id']} is called {draft.name}."
        yield FieldProblem(
            f"{draft.said.where}.id", problem, f"Call it {draft.link}.{draft.fields['id']}, or as you like."
        )
    if parent in drafts and parent != draft.link:
        problem = f"{draft.name} stands on {draft.link}, and there is a {parent} too."
        yield FieldProblem(f"{draft.said.where}.link", problem, "Name it after its own link, or without a dot.")


def _reachable(draft: Draft) -> bool:
    return any(draft.fields.get(word) for word in ("addresses", "dhcp4", "dhcp6", "accept_ra"))


def _routes(draft: Draft) -> Iterable[FieldProblem]:
    where = f"{draft.said.where}.routes"
    known = set()
    for route in draft.fields.get("routes", ()):
        six = ":" in route.to
        if (route.to, route.metric) in known:
            yield FieldProblem(where, f"{route.to} is said twice.", "Give one of them another metric.")
        known.add((route.to, route.metric))
        dynamic = draft.fields.get("accept_ra" if six else "dhcp4")
        static = draft.fields.get("addresses", ())
        if not dynamic and not reaches(static, route.via):
            fix = "Write a router in one of this interface's networks."
            yield FieldProblem(where, f"{route.via} cannot be reached from {', '.join(static) or 'here'}.", fix)


def spread_mtu(drafts: Drafts) -> None:
    """What carries a larger frame must take it: members are as large as their bond or bridge, unless they say."""
    for draft in drafts.values():
        mtu = draft.said.options.get("mtu")
        for name in draft.members if mtu is not None else ():
            drafts[name].fields.setdefault("mtu", mtu)


def sizes(drafts: Drafts) -> Iterable[FieldProblem]:
    """No device is larger than what carries it."""
    for draft in drafts.values():
        mtu = _mtu(draft)
        where = f"{draft.said.where}.mtu"
        if draft.link and mtu > _mtu(drafts[draft.link]):
            problem = f"{mtu} is larger than {_mtu(drafts[draft.link])}, which {draft.link} has."
            yield FieldProblem(where, problem, f"Set mtu: {mtu} at {draft.link} too.")
        for name in draft.members:
            if "mtu" in draft.fields and _mtu(drafts[name]) < mtu:
                problem = f"{mtu} is larger than {_mtu(drafts[name])}, which its member {name} has."
                yield FieldProblem(where, problem, f"Set mtu: {mtu} at {name} too.")
        six = any(":" in each for each in draft.fields.get("addresses", ())) or draft.fields.get("accept_ra")
        if mtu < LEAST_MTU_6 and six:
            yield FieldProblem(where, f"{mtu} is too small for IPv6.", f"Use at least {LEAST_MTU_6}.")


def _mtu(draft: Draft) -> int:
    return int(draft.fields.get("mtu", DEFAULT_MTU))


def installer(plan: NetworkPlan) -> Iterable[FieldProblem]:
    """What the installer can use to reach us: the boot card, a bond of it, or a VLAN on one of them."""
    device = plan.device(plan.installer)
    base = plan.device(device.link) if isinstance(device, Vlan) else device
    if isinstance(base, Ethernet) and base.name == plan.boot:
        return
    if isinstance(base, Bond) and plan.boot in base.members:
        return
    fix = "Write boot, a bond that has the boot card, or a VLAN on one of them."
    yield FieldProblem(f"{FIELD}.installer", f"{plan.installer} does not lead over the boot card.", fix)
