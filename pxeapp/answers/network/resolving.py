"""From what is said to what it means for one machine: cards by MAC, addresses from networks, the default routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

from netaddr import AddrFormatError, IPAddress, IPNetwork

from pxeapp.answers.network import gateways, reading, rules, words
from pxeapp.answers.network.plan import Bond, Bridge, Device, Ethernet, NetworkPlan, Vlan
from pxeapp.answers.network.reading import FIELD, Reading, Said
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import mac as macs

BOND_WORDS = ("mode", "miimon", "lacp_rate", "xmit_hash_policy")
BRIDGE_WORDS = ("stp", "forward_delay")
BOOT = "boot"  # the card that the machine netboots from, whichever it is


class BadNetwork(Invalid):
    """A network that cannot be made, with every reason."""

    title = "Bad network"


class KnownCard(Protocol):
    """A card of the machine, as its record has it."""

    @property
    def mac(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def network(self) -> str | None: ...
    @property
    def address(self) -> str | None: ...


class KnownNetwork(Protocol):
    """A network that the appliance knows."""

    @property
    def name(self) -> str: ...
    @property
    def cidr(self) -> str: ...
    @property
    def gateway(self) -> str | None: ...
    @property
    def dns(self) -> Sequence[str]: ...
    @property
    def domain(self) -> str: ...
    @property
    def vlan(self) -> int | None: ...
    @property
    def dhcp_start(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class _Card:
    """A card with its name: its own, the one that is said, or one of ours."""

    mac: str
    name: str
    network: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class _Unrecorded:
    """The boot card of a machine of which nothing but its MAC is known."""

    mac: str
    name: str | None = None
    network: str | None = None
    address: str | None = None


@dataclass(slots=True)
class _Draft:
    """A device while it is being made."""

    said: Said
    name: str
    members: tuple[str, ...] = ()
    link: str = ""
    card: _Card | None = None
    networks: list[KnownNetwork] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def needed(said: Any, cards: Iterable[KnownCard], networks: Mapping[str, KnownNetwork]) -> bool:
    """Whether a machine has more to say of its network than its cards' IPv4: what installers write by themselves."""
    if said is not None:
        return True
    return any(card.network in networks and ":" in networks[card.network].cidr for card in cards if card.network)


def parse(
    said: Any,
    *,
    boot: str,
    cards: Sequence[KnownCard],
    networks: Mapping[str, KnownNetwork],
    addresses: Any = None,
) -> NetworkPlan:
    """The plan of a machine whose boot MAC is `boot`; raises BadNetwork with every problem."""
    read = reading.read(said, addresses)
    if read.problems:
        raise BadNetwork("The network cannot be made.", problems=read.problems)
    maker = _Maker(read, boot, cards, networks)
    plan = maker.make()
    if plan is None or maker.problems:
        raise BadNetwork("The network cannot be made.", problems=maker.problems)
    return plan


class _Maker:
    """One machine's plan in the making; every step leaves its problems here."""

    def __init__(
        self, read: Reading, boot: str, cards: Sequence[KnownCard], networks: Mapping[str, KnownNetwork]
    ) -> None:
        self.read = read
        self.boot = boot
        self.networks = networks
        self.problems: list[FieldProblem] = []
        self.known = _known(boot, cards)
        self.cards: dict[str, _Card] = {}  # by MAC
        self.drafts: dict[str, _Draft] = {}  # by name

    def make(self) -> NetworkPlan | None:
        self._name_cards()
        self._collect()
        if self.problems:
            return None
        self.problems += rules.structure(self.drafts)
        if self.problems:
            return None  # the rest follows links, which must not run in circles
        for draft in self.drafts.values():
            self._address(draft)
        self.problems += rules.addressing(self.drafts)
        if self.problems:
            return None
        self.problems += gateways.settle(self.drafts, self._speaker(self.cards[self.boot].name))
        rules.spread_mtu(self.drafts)
        self.problems += rules.sizes(self.drafts)
        plan = self._plan()
        self.problems += rules.installer(plan)
        return plan

    def _name_cards(self) -> None:
        """Each card's name: as it is said, as it is recorded, or one of ours."""
        called = {}
        for said in self.read.of("ethernets"):
            card = self._find(said.key)
            if card is None:
                self.problems.append(self._no_card(said.where, said.key))
            elif card.mac in called:
                fix = "Say everything about it in one place."
                self.problems.append(FieldProblem(said.where, f"is the card {card.mac} once more.", fix))
            else:
                called[card.mac] = said
        taken = {said.key for said in self.read.devices if said.kind != "ethernets"}
        for number, card in enumerate(self.known):
            wanted = called[card.mac].options.get("name") if card.mac in called else None
            name = wanted or card.name
            if name is None or (wanted is None and not _usable(name, taken)):
                name = next(each for n in range(number, 1000) if (each := f"nic{n}") not in taken)
            if name in taken:
                where = called[card.mac].where if card.mac in called else f"interfaces.{number}"
                self.problems.append(
                    FieldProblem(f"{where}.name", f"{name} is another interface's name.", "Rename it.")
                )
            taken.add(name)
            self.cards[card.mac] = _Card(card.mac, name, card.network, card.address)

    def _find(self, key: str) -> KnownCard | None:
        if key == BOOT:
            return next(card for card in self.known if card.mac == self.boot)
        mac = macs.parse_or_none(key)
        return next((card for card in self.known if (card.mac == mac if mac else card.name == key)), None)

    def _no_card(self, where: str, key: str) -> FieldProblem:
        known = ", ".join(f"{card.mac} ({card.name})" if card.name else card.mac for card in self.known)
        fix = f"Its cards: {known}; add the card to interfaces, or write boot."
        return FieldProblem(where, f"{words.shown(key)} is no network card of this machine.", fix)

    def _collect(self) -> None:
        """Every device that is said, and every card that is not."""
        mentioned = set()
        for said in self.read.devices:
            if said.kind != "ethernets":
                self.problems += reading.options_problems(said)
                self.drafts[said.key] = _Draft(said, said.key)
                continue
            found = self._find(said.key)
            if found is not None and found.mac not in mentioned:
                card = self.cards[found.mac]
                mentioned.add(card.mac)
                self.drafts[card.name] = _Draft(said, card.name, card=card)
        for draft in list(self.drafts.values()):
            draft.members = tuple(self._references(draft, "members"))
            draft.link = next(iter(self._references(draft, "link")), "")
            if "primary" in draft.said.options:
                draft.fields["primary"] = next(iter(self._references(draft, "primary")), None)
            draft.networks = list(self._networks(draft))
        self._silent_cards(mentioned)

    def _silent_cards(self, mentioned: set[str]) -> None:
        """Cards that nobody speaks of: needed by another device, or in a network by their record, or left alone."""
        members = {name for draft in self.drafts.values() for name in draft.members}
        links = {draft.link for draft in self.drafts.values()}
        for card in self.cards.values():
            network = self.networks.get(card.network or "")
            needed = network is not None or card.mac == self.boot or card.name in members | links
            if card.mac in mentioned or not needed:
                continue
            draft = _Draft(Said("ethernets", card.name, {}), card.name, card=card)
            self.drafts[card.name] = draft
            if card.name in members or network is None:
                continue
            tagged = network.vlan is not None and card.mac != self.boot
            if not tagged:
                draft.networks = [network]
                continue
            name = self._vlan_name(card.name, network.vlan)
            said = Said("vlans", name, {"id": network.vlan})
            self.drafts[name] = _Draft(said, name, link=card.name, networks=[network])

    def _vlan_name(self, parent: str, number: int | None) -> str:
        possible = (f"{parent}.{number}", f"vlan{number}", *(f"vlan{number}-{count}" for count in range(2, 100)))
        return next(each for each in possible if len(each) <= words.LONGEST and each not in self.drafts)

    def _references(self, draft: _Draft, word: str) -> Iterable[str]:
        said = draft.said.options.get(word, ())
        for key in (said,) if isinstance(said, str) else said:
            if any(other.key == key for other in self.read.devices if other.kind != "ethernets"):
                yield key
            elif (card := self._find(key)) is not None:
                yield self.cards[card.mac].name
            else:
                where = f"{draft.said.where}.{word}"
                missing = self._no_card(where, key)
                self.problems.append(replace(missing, problem=f"{words.shown(key)} is no interface of this machine."))

    def _networks(self, draft: _Draft) -> Iterable[KnownNetwork]:
        for name in draft.said.options.get("network", ()):
            network = self.networks.get(name)
            if network is None:
                known = ", ".join(sorted(self.networks)[:20]) or "none yet; add it first"
                where = f"{draft.said.where}.network"
                self.problems.append(FieldProblem(where, f"{name[:60]!r} is not a network.", f"Known: {known}."))
            else:
                yield network

    def _address(self, draft: _Draft) -> None:
        """Addresses: said, from this machine's list, from a card's record; else DHCP, or router advertisements."""
        options, made = draft.said.options, draft.fields
        for word in ("dhcp4", "dhcp6", "accept_ra", "routes", "mtu"):
            if word in options:
                made[word] = options[word]
        found = list(self._complete(draft))
        dynamic = {}
        for network in draft.networks:
            version = 6 if ":" in network.cidr else 4
            if any(_inside(address, network.cidr) for address in found):
                continue
            own = [each for each in self._own(draft, network) if ":" in each or not made.get("dhcp4")]
            found += own
            if not own:
                dynamic["accept_ra" if version == 6 else "dhcp4"] = True
        boots = draft.card is not None and draft.card.mac == self.boot
        if boots and not found and not dynamic and not self._is_member(draft.name) and not _said_how(options):
            dynamic["dhcp4"] = True
        for word in dynamic:
            made.setdefault(word, True)
        if made.get("dhcp6"):
            made.setdefault("accept_ra", True)  # DHCPv6 gives no router: that is what advertisements are for
        made["addresses"] = tuple(dict.fromkeys(found))
        if draft.said.kind == "vlans":
            self._vlan_id(draft)

    def _complete(self, draft: _Draft) -> Iterable[str]:
        """The addresses that are said, each with its prefix."""
        for address in draft.said.options.get("addresses", ()):
            where = f"{draft.said.where}.addresses"
            network = next((each for each in draft.networks if _inside(address, each.cidr)), None)
            if draft.networks and network is None:
                names = " or ".join(f"{each.name} ({each.cidr})" for each in draft.networks)
                self.problems.append(FieldProblem(where, f"{address} is not in {names}.", "Correct one of the two."))
            elif "/" in address:
                yield address
            elif network is None:
                fix = f"Write {address}/{64 if ':' in address else 24}, or name its network."
                self.problems.append(FieldProblem(where, f"{address} has no prefix.", fix))
            else:
                yield f"{address}/{_prefix(network.cidr)}"

    def _own(self, draft: _Draft, network: KnownNetwork) -> list[str]:
        """This machine's addresses in a network."""
        if (listed := self.read.addresses.get(network.name)) is not None:
            wrong = [each for each in listed if not _inside(each, network.cidr)]
            for each in wrong:
                where = f"{reading.ADDRESSES}.{network.name}"
                self.problems.append(
                    FieldProblem(where, f"{each} is not in {network.cidr}.", "Correct one of the two.")
                )
            return [f"{each.partition('/')[0]}/{_prefix(network.cidr)}" for each in listed if each not in wrong]
        for card in self._cards_below(draft.name):
            if card.network != network.name or card.address is None:
                continue
            if card.mac == self.boot and network.dhcp_start is not None and ":" not in network.cidr:
                return []  # its address is a reservation: DHCP gives it, to the installer too
            return [f"{card.address}/{_prefix(network.cidr)}"]
        return []

    def _cards_below(self, name: str) -> Iterable[_Card]:
        draft = self.drafts[name]
        if draft.card is not None:
            yield draft.card
        for below in (*draft.members, *([draft.link] if draft.link else [])):
            yield from self._cards_below(below)

    def _vlan_id(self, draft: _Draft) -> None:
        said = draft.said.options.get("id")
        known = {network.vlan for network in draft.networks if network.vlan is not None}
        if said is not None and known - {said}:
            names = ", ".join(f"{network.name} has {network.vlan}" for network in draft.networks)
            fix = "Leave id out, or correct it."
            self.problems.append(FieldProblem(f"{draft.said.where}.id", f"{said} is not the network's: {names}.", fix))
        elif said is None and len(known) != 1:
            why = "its networks have different VLANs" if known else "its network has no VLAN"
            self.problems.append(FieldProblem(f"{draft.said.where}.id", f"is missing: {why}.", "Write 1 to 4094."))
        draft.fields["id"] = said if said is not None else next(iter(known), 0)

    def _is_member(self, name: str) -> bool:
        return any(name in draft.members for draft in self.drafts.values())

    def _speaker(self, name: str) -> str:
        above = next((draft.name for draft in self.drafts.values() if name in draft.members), None)
        return name if above is None else self._speaker(above)

    def _plan(self) -> NetworkPlan:
        made: dict[str, list[Any]] = {kind: [] for kind in words.KINDS}
        cards = [self.drafts[card.name] for card in self.cards.values() if card.name in self.drafts]
        drafts = cards + [draft for draft in self.drafts.values() if draft.card is None]
        boot = self.cards[self.boot]
        for draft in drafts:
            made[draft.said.kind].append(self._device(draft, boot))
        installer = self.read.whole.get("installer", BOOT)
        found = self._find(installer)
        name = self.cards[found.mac].name if found is not None else installer
        if name not in self.drafts:
            fix = "Write boot, or the bond or VLAN that the installer must use."
            self.problems.append(FieldProblem(f"{FIELD}.installer", f"{words.shown(installer)} is no interface.", fix))
            name = boot.name
        return NetworkPlan(
            boot=boot.name,
            ethernets=tuple(made["ethernets"]),
            bonds=tuple(made["bonds"]),
            vlans=tuple(made["vlans"]),
            bridges=tuple(made["bridges"]),
            dns=self._dns(),
            search=self.read.whole.get("search", self._search()),
            installer=name,
        )

    def _device(self, draft: _Draft, boot: _Card) -> Device:
        options = draft.said.options
        carries_boot = any(name == boot.name or boot in self._cards_below(name) for name in draft.members)
        mac = boot.mac if carries_boot else None
        if draft.card is not None:
            return Ethernet(name=draft.name, mac=draft.card.mac, **draft.fields)
        if draft.said.kind == "vlans":
            return Vlan(name=draft.name, link=draft.link, **draft.fields)
        if draft.said.kind == "bridges":
            own = {word: options[word] for word in BRIDGE_WORDS if word in options}
            return Bridge(name=draft.name, members=draft.members, mac=mac, **own, **draft.fields)
        own = {word: options[word] for word in BOND_WORDS if word in options}
        return Bond(name=draft.name, members=draft.members, mac=mac, **own, **draft.fields)

    def _dns(self) -> tuple[str, ...]:
        if "dns" in self.read.whole:
            return tuple(self.read.whole["dns"])
        # Where addresses come by DHCP, so do name servers.
        known = [each for network in self._statically_in() for each in network.dns if _is_ip(each)]
        return tuple(dict.fromkeys(known))

    def _search(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(network.domain for network in self._statically_in() if network.domain))

    def _statically_in(self) -> list[KnownNetwork]:
        """The networks with an address of ours; the default route's first."""
        drafts = sorted(
            self.drafts.values(), key=lambda draft: not (draft.fields.get("default4") or draft.fields.get("default6"))
        )
        return [
            network
            for draft in drafts
            for network in draft.networks
            if any(_inside(address, network.cidr) for address in draft.fields.get("addresses", ()))
        ]


def _known(boot: str, cards: Sequence[KnownCard]) -> list[KnownCard]:
    """Its cards, the boot card among them even where nobody recorded it."""
    if any(card.mac == boot for card in cards):
        return list(cards)
    return [_Unrecorded(boot), *cards]


def _usable(name: str, taken: set[str]) -> bool:
    try:
        words.name(name)
    except words.Unfit:
        return False  # eth0, which may be another card at the next boot
    return name not in taken


def _said_how(options: Mapping[str, Any]) -> bool:
    return any(word in options for word in ("dhcp4", "dhcp6", "accept_ra", "addresses", "network"))


@lru_cache(maxsize=4096)
def _inside(address: str, cidr: str) -> bool:
    """Whether an address, with a prefix or without, is in a network; a different prefix is a different network."""
    ip, slash, prefix = address.partition("/")
    network = IPNetwork(cidr)
    return IPAddress(ip) in network and (not slash or int(prefix) == network.prefixlen)


@lru_cache(maxsize=4096)
def _prefix(cidr: str) -> int:
    return int(IPNetwork(cidr).prefixlen)


@lru_cache(maxsize=4096)
def _is_ip(value: str) -> bool:
    try:
        return bool(IPAddress(value))
    except (AddrFormatError, ValueError):
        return False
