"""A machine's network as its renderers take it: every reference followed, every default filled in. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from netaddr import IPNetwork


@dataclass(frozen=True, slots=True)
class Route:
    """A route behind a router of the device's own network. The default route is the device's gateway instead."""

    to: str
    via: str
    metric: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What every kind of interface can have. `name` is what the installed system calls it."""

    name: str
    addresses: tuple[str, ...] = ()  # each with its prefix
    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool = False  # SLAAC: addresses and the default route by router advertisements
    gateway4: str | None = None
    gateway6: str | None = None
    default4: bool = False  # the default route is behind it: by its gateway, or by what DHCP says
    default6: bool = False
    routes: tuple[Route, ...] = ()
    mtu: int | None = None

    @property
    def static4(self) -> tuple[str, ...]:
        """Its IPv4 addresses."""
        return tuple(each for each in self.addresses if ":" not in each)

    @property
    def static6(self) -> tuple[str, ...]:
        """Its IPv6 addresses."""
        return tuple(each for each in self.addresses if ":" in each)

    @property
    def has4(self) -> bool:
        """Whether it speaks IPv4."""
        return self.dhcp4 or bool(self.static4)

    @property
    def has6(self) -> bool:
        """Whether it has IPv6 addresses beside its link-local one."""
        return self.dhcp6 or self.accept_ra or bool(self.static6)

    def routes_of(self, version: int) -> tuple[Route, ...]:
        """Its routes of one address family."""
        return tuple(route for route in self.routes if (":" in route.to) == (version == 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ethernet(Device):
    """A network card, found by its MAC: the kernel is free to name it."""

    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond(Device):
    """Several cards as one. `mac` is the boot card's where it is a member, so that DHCP knows the machine again."""

    members: tuple[str, ...]
    mode: str
    miimon: int = 100
    lacp_rate: str | None = None
    xmit_hash_policy: str | None = None
    primary: str | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vlan(Device):
    """A tagged network on a card, a bond or a bridge."""

    link: str
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge(Device):
    """A switch inside the machine."""

    members: tuple[str, ...] = ()
    stp: bool = False
    forward_delay: int = 0
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The whole network of one machine. `boot` and `installer` are devices' names."""

    boot: str
    ethernets: tuple[Ethernet, ...]
    bonds: tuple[Bond, ...] = ()
    vlans: tuple[Vlan, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    installer: str = ""

    @property
    def devices(self) -> tuple[Device, ...]:
        """Every device; cards first."""
        return (*self.ethernets, *self.bonds, *self.vlans, *self.bridges)

    def device(self, name: str) -> Device:
        """A device by its name."""
        return next(each for each in self.devices if each.name == name)

    def master_of(self, name: str) -> Bond | Bridge | None:
        """The bond or bridge that it is a member of."""
        above: tuple[Bond | Bridge, ...] = (*self.bonds, *self.bridges)
        return next((each for each in above if name in each.members), None)

    @property
    def boot_card(self) -> Ethernet:
        """The card that the machine netboots from."""
        return next(each for each in self.ethernets if each.name == self.boot)

    @property
    def speaker(self) -> Device:
        """The device that has the addresses of whatever is untagged at a card's port, for the boot card."""
        return self.speaker_of(self.boot)

    def speaker_of(self, name: str) -> Device:
        """A device itself, or the bond or bridge above it that has its addresses."""
        master = self.master_of(name)
        return self.device(name) if master is None else self.speaker_of(master.name)

    @property
    def dns_device(self) -> Device:
        """The device that name servers are written at: where the default route is, else the first with an address."""
        for wanted in ("default4", "default6", "has4", "has6"):
            for each in self.devices:
                if getattr(each, wanted):
                    return each
        return self.ethernets[0]


def ip_of(address: str) -> str:
    """The address without its prefix."""
    return address.partition("/")[0]


def prefix_of(address: str) -> int:
    """The length of its prefix."""
    return int(address.partition("/")[2])


@lru_cache(maxsize=64)
def netmask(prefix: int) -> str:
    """An IPv4 prefix in dotted form."""
    return str(IPNetwork(f"0.0.0.0/{prefix}").netmask)
