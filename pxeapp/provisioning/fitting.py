"""Whether a machine that is about to be saved can have the network and disks that it, its role and its cluster say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from netaddr import IPAddress, IPNetwork
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import storage
from pxeapp.answers.models import Role
from pxeapp.answers.network import resolving
from pxeapp.answers.storage import known
from pxeapp.errors import FieldProblem
from pxeapp.machines.models import Cluster, Network
from pxeapp.machines.networks import own_address
from pxeapp.machines.service import Draft
from pxeapp.provisioning import from_rows
from pxeapp.provisioning.carrying import Carrying, carrying
from pxeapp.provisioning.composing import Composing, composing
from pxeapp.provisioning.facts import CardFacts, NetworkFacts
from pxeapp.templates import Templates
from pxeapp.vault import Vault

MATTERS = frozenset({"mac", "interfaces", "vars", "role", "cluster", "disks"})
MOST = 50  # faults that are told
WORDS = ("network", "addresses", "layout")


@dataclass(frozen=True, slots=True)
class Fitting:
    """What it is checked against, read once for a whole import."""

    networks: Mapping[str, NetworkFacts]
    roles: Mapping[str, Mapping[str, Any]]  # what each says of networks and disks, in its variables
    clusters: Mapping[str, Mapping[str, Any]]
    carrying: Carrying | None = None  # None: whether its release can carry its role is not asked
    composing: Composing | None = None  # None: nor what else its release cannot do

    def problems(self, draft: Draft) -> Iterable[FieldProblem]:
        """Every fault; none where nothing that matters is being saved."""
        if self.carrying is not None and (uncarried := self.carrying.problems(draft) or self.carrying.lacking(draft)):
            return uncarried
        if not draft.given & MATTERS and (self.composing is None or "release" not in draft.given):
            return []
        cards = [CardFacts(*each) for each in draft.interfaces]
        said = {
            **self.roles.get(draft.role or "", {}),
            **self.clusters.get(draft.cluster or "", {}),
            **{word: draft.vars[word] for word in WORDS if word in draft.vars},
        }
        network = said.get("network")
        found: list[FieldProblem] = []
        if "interfaces" in draft.given:
            found += self._impossible(cards, boot=draft.mac, spoken=network is not None)
        found += _disks(said.get("layout"), draft)
        if found or any(card.network and card.network not in self.networks for card in cards):
            return found
        if self.composing is not None and self.composing.knows(draft):
            return self.composing.problems(draft)
        if resolving.needed(network, cards, self.networks):
            try:
                resolving.parse(
                    network, boot=draft.mac, cards=cards, networks=self.networks, addresses=said.get("addresses")
                )
            except resolving.BadNetwork as refused:
                return refused.problems
        return found

    def _impossible(self, cards: Iterable[CardFacts], *, boot: str, spoken: bool) -> Iterable[FieldProblem]:
        """Addresses that no card can have. `spoken`: the variable `network` says who has which gateway."""
        first: dict[str, CardFacts] = {}
        for number, card in enumerate(cards):
            if card.address is None:
                continue
            where = f"interfaces.{number}.address"
            other = first.setdefault(card.address, card)
            if other is not card:
                fix = "Give each interface an address of its own."
                yield FieldProblem(where, f"{card.address} is {other.name or other.mac}'s already.", fix)
            elif (network := self.networks.get(card.network or "")) is not None:
                gateway = network.gateway if card.mac == boot and not spoken else None
                for problem, fix in _impossible(card.address, network.name, network.cidr, gateway):
                    yield FieldProblem(where, problem, fix)


def fitting(session: Session, templates: Templates | None = None, vault: Vault | None = None) -> Fitting:
    """As everything is now."""
    networks = {row.name: from_rows.network(row) for row in session.scalars(select(Network))}
    return Fitting(
        networks=networks,
        roles={
            name: {**_words(ours), **_words(said)}
            for name, said, ours in session.execute(select(Role.name, Role.vars, Role.storage))
        },
        clusters={name: _words(said) for name, said in session.execute(select(Cluster.name, Cluster.vars))},
        carrying=carrying(session, templates) if templates is not None else None,
        composing=composing(session, vault, networks) if vault is not None else None,
    )


def _disks(said: Any, draft: Draft) -> list[FieldProblem]:
    """What the layout means on this machine, as far as we know its disks."""
    if said is None or not draft.disks or storage.problems(said):
        return []  # what is wrong by itself is refused where it is said
    return list(known.problems(storage.read(said), draft.disks, "vars.layout"))


def _words(said: Mapping[str, Any]) -> dict[str, Any]:
    return {word: said[word] for word in WORDS if word in said}


@lru_cache(maxsize=4096)
def _impossible(address: str, name: str, cidr: str, gateway: str | None) -> tuple[tuple[str, str], ...]:
    """Why a card in this network cannot have the address, and what to write instead."""
    ip, network = IPAddress(address), IPNetwork(cidr)
    if ip not in network:
        return ((f"{address} is not in {name} ({cidr}).", "Correct the address or the network."),)
    if own := own_address(address, ip, network):
        return ((own, "Write a machine's address in it."),)
    if gateway and ip == IPAddress(gateway):
        return ((f"{address} is the gateway of {name}.", "Write the machine's own address."),)
    return ()
