"""What each word of the network language takes: one checker per kind of value, one table per kind of device."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from netaddr import AddrFormatError, IPAddress, IPNetwork

from pxeapp.answers.network.plan import Route
from pxeapp.machines import networks

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
LONGEST = 15  # IFNAMSIZ is 16 and counts the closing zero
# The kernel's own: eth0 may be any card at the next boot; `all` and `default` are words of its settings.
TAKEN = re.compile(r"eth[0-9]+|lo|all|default|boot|none|off|bonding_masters", re.IGNORECASE)
DOMAIN = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
MODES = ("802.3ad", "active-backup", "balance-rr", "balance-xor", "broadcast", "balance-tlb", "balance-alb")
HASHES = ("layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4")
HASHED_MODES = ("802.3ad", "balance-xor", "balance-tlb")
PRIMARY_MODES = ("active-backup", "balance-tlb", "balance-alb")
SHOWN = 60  # of a value that is refused


class Unfit(ValueError):
    """What is wrong with a value, and what to write."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


Checker = Callable[[Any], Any]


def shown(value: Any) -> str:
    """A value as a sentence shows it."""
    return repr(value)[:SHOWN]


def flag(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Unfit(f"{shown(value)} is neither true nor false.", "Write true or false.")
    return value


def number(least: int, most: int) -> Checker:
    """A whole number within bounds."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Unfit(f"{shown(value)} is not possible.", f"Use a whole number from {least} to {most}.")
        return value

    return check


def one_of(*words: str) -> Checker:
    """One of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Unfit(f"{shown(value)} is not possible.", f"Use one of {', '.join(words)}.")
        return value

    return check


def name(value: Any) -> str:
    """The name of a device of ours."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise Unfit(f"{shown(value)} cannot be an interface's name.", "Use letters, digits, dashes and single dots.")
    if len(value) > LONGEST:
        raise Unfit(f"{shown(value)} has {len(value)} characters; Linux allows {LONGEST}.", "Use a shorter name.")
    if TAKEN.fullmatch(value):
        raise Unfit(f"{shown(value)} is a name that Linux or this language uses itself.", "Use a name such as lan0.")
    return value


def reference(value: Any) -> str:
    """A card by MAC or name, or `boot`, or another device: whether there is one is seen later."""
    if not isinstance(value, str) or not value or len(value) > SHOWN or not value.isprintable():
        raise Unfit(f"{shown(value)} names no interface.", "Write boot, a card's MAC or name, or a device's name.")
    return value


def references(value: Any) -> tuple[str, ...]:
    """A list of them."""
    if not isinstance(value, (list, tuple)):
        raise Unfit(f"{shown(value)} is not a list.", 'Write ["boot", "eno2"].')
    return tuple(reference(each) for each in value)


def network_names(value: Any) -> tuple[str, ...]:
    """One network's name, or a list of them."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(each, str) for each in names):
        raise Unfit(f"{shown(value)} is not a network's name.", 'Write one name, or a list such as ["lan", "lan6"].')
    return tuple(names)


@lru_cache(maxsize=4096)
def _ip(value: str) -> str | None:
    try:
        found = IPAddress(value)
    except (AddrFormatError, ValueError):
        return None
    # netaddr would also read 10.1 or 0x0a000001; what an installer reads is the full form.
    return str(found) if found.version == 6 or str(found) == value else None


@lru_cache(maxsize=4096)
def _network(value: str) -> IPNetwork | None:
    ip, slash, prefix = value.partition("/")
    if _ip(ip) is None or not slash or not re.fullmatch("[0-9]{1,3}", prefix):
        return None
    try:
        return IPNetwork(f"{_ip(ip)}/{prefix}")
    except (AddrFormatError, ValueError):
        return None


def ip(version: int | None = None) -> Checker:
    """An address, of one family or of any, in its one spelling."""
    example = {4: "10.0.0.1", 6: "fd00::1", None: "10.0.0.1 or fd00::1"}[version]

    def check(value: Any) -> str:
        found = _ip(value) if isinstance(value, str) else None
        if found is None or version not in (None, 6 if ":" in found else 4):
            family = f"an IPv{version} address" if version else "an address"
            raise Unfit(f"{shown(value)} is not {family}.", f"Write it as {example}.")
        return found

    return check


def addresses(value: Any) -> tuple[str, ...]:
    """Addresses, each with its prefix or, where a network is named, without one."""
    if not isinstance(value, (list, tuple)):
        raise Unfit(f"{shown(value)} is not a list.", 'Write ["10.0.0.5/24"].')
    return tuple(interface_address(each) for each in value)


def interface_address(value: Any) -> str:
    """One of them."""
    found = None
    if isinstance(value, str):
        if "/" not in value:
            found = _ip(value)
        elif (network := _network(value)) is not None:
            _refuse_the_networks_own(value, network)
            found = f"{network.ip}/{network.prefixlen}"
    if found is None:
        raise Unfit(f"{shown(value)} is not an address with a prefix.", "Write it as 10.0.0.5/24 or fd00::5/64.")
    plain = IPAddress(found.partition("/")[0])
    if plain.is_multicast() or plain.is_loopback() or int(plain) == 0:
        raise Unfit(f"{found} is no address for a machine.", "Write a unicast address.")
    return found


def _refuse_the_networks_own(value: str, network: IPNetwork) -> None:
    if own := networks.own_address(value, network.ip, network):
        raise Unfit(own, "Write a machine's address in it.")


def routes(value: Any) -> tuple[Route, ...]:
    """Routes: to, via and, where it matters, metric."""
    if not isinstance(value, (list, tuple)):
        raise Unfit(f"{shown(value)} is not a list.", 'Write [{"to": "10.0.0.0/8", "via": "10.1.0.1"}].')
    return tuple(_route(each) for each in value)


def _route(value: Any) -> Route:
    if not isinstance(value, Mapping):
        raise Unfit(f"{shown(value)} is not a route.", 'Write {"to": "10.0.0.0/8", "via": "10.1.0.1"}.')
    for key in value:
        if key not in ("to", "via", "metric"):
            raise Unfit(f"{shown(key)} is not a word of a route.", "A route has to, via and metric.")
    to = value.get("to")
    network = _network(to) if isinstance(to, str) else None
    if to == "default" or (network is not None and network.prefixlen == 0):
        raise Unfit("The default route is not one of the routes.", "Write gateway4 or gateway6 beside routes.")
    if network is None:
        raise Unfit(f"{shown(to)} is not where a route leads to.", "Write it as 10.0.0.0/8 or fd00::/8.")
    if network.ip != network.network:
        raise Unfit(f"{to} has bits beyond its prefix.", f"Write {network.cidr}.")
    via = ip(network.version)(value.get("via"))
    metric = None if value.get("metric") is None else number(0, 2**32 - 1)(value["metric"])
    return Route(str(network.cidr), via, metric)


def domains(value: Any) -> tuple[str, ...]:
    """Search domains."""
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(each, str) and DOMAIN.fullmatch(each) for each in value
    ):
        raise Unfit(f"{shown(value)} is not a list of domains.", 'Write ["rack.example.org"].')
    return tuple(value)


def servers(value: Any) -> tuple[str, ...]:
    """Name servers' addresses."""
    if not isinstance(value, (list, tuple)):
        raise Unfit(f"{shown(value)} is not a list.", 'Write ["10.0.0.1"].')
    return tuple(ip()(each) for each in value)


COMMON: dict[str, Checker] = {
    "network": network_names,
    "addresses": addresses,
    "dhcp4": flag,
    "dhcp6": flag,
    "accept_ra": flag,
    "gateway4": ip(4),
    "gateway6": ip(6),
    "default_route": flag,
    "routes": routes,
    "mtu": number(576, 9216),
}
KINDS: dict[str, dict[str, Checker]] = {
    "ethernets": {**COMMON, "name": name},
    "bonds": {
        **COMMON,
        "members": references,
        "mode": one_of(*MODES),
        "miimon": number(0, 10000),
        "lacp_rate": one_of("slow", "fast"),
        "xmit_hash_policy": one_of(*HASHES),
        "primary": reference,
    },
    "vlans": {**COMMON, "link": reference, "id": number(1, 4094)},
    "bridges": {**COMMON, "members": references, "stp": flag, "forward_delay": number(0, 30)},
}
WHOLE: dict[str, Checker] = {"dns": servers, "search": domains, "installer": reference}
