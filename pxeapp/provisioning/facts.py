"""What an answer file is made of, as plain values: from rows, however they were read, to the specification. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from netaddr import IPNetwork

from pxeapp.answers import own_keys, storage, variables
from pxeapp.answers import releases as dialects
from pxeapp.answers import site as sites
from pxeapp.answers.network import packages as network_packages
from pxeapp.answers.network import resolving
from pxeapp.answers.network.plan import NetworkPlan
from pxeapp.answers.roles.definition import of_family
from pxeapp.answers.site import Site
from pxeapp.answers.spec import AnswerSpec, Card, ReleaseSpec, Repository
from pxeapp.answers.storage import Layout
from pxeapp.answers.variables import Variable, merging
from pxeapp.errors import Invalid
from pxeapp.machines.disks import KnownDisk
from pxeapp.provisioning import pinned_addresses
from pxeapp.software.snapshots import pins
from pxeapp.systems import AUTOINSTALL

ARCHIVE = "{node_url}/mirror/ubuntu"  # unless the release's settings name another


class CardFacts(NamedTuple):
    """A network card, and the name of the network it is in."""

    mac: str
    name: str | None
    network: str | None
    address: str | None


class NetworkFacts(NamedTuple):
    """A network, as far as installers must know it."""

    name: str
    cidr: str
    gateway: str | None
    dns: list[str]
    ntp: list[str]
    domain: str
    vlan: int | None
    dhcp_start: str | None


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """A role: packages and services by family of packages."""

    name: str
    packages: Mapping[str, Any]
    services: Mapping[str, Any]
    storage: Mapping[str, Any]
    vars: Mapping[str, Any]
    variables: Mapping[str, Variable] = field(default_factory=lambda: MappingProxyType({}))  # what its row declares


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A cluster; its secrets are sealed, as are those among anybody's variables."""

    name: str = ""
    vars: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    secrets: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """A machine."""

    name: str
    mac: str
    vars: Mapping[str, Any]
    cards: tuple[CardFacts, ...]
    disks: tuple[KnownDisk, ...]


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the machine finds us; answer and callback hold its tokens."""

    node: str
    answer: str
    callback: str


NO_CLUSTER = ClusterFacts()


def compose(
    machine: MachineFacts,
    release: ReleaseSpec,
    role: RoleFacts,
    networks: Mapping[str, NetworkFacts],
    urls: Urls,
    cluster: ClusterFacts,
    opened: merging.Open,
    own_key: Callable[[], str],
    own: own_keys.Own,
) -> AnswerSpec:
    """The specification; raises Invalid with every value that cannot be used."""
    said, secrets = merging.merged(layers(machine, role, cluster), opened)
    if missing := merging.missing(role.variables, said, machine=machine.name, role=role.name):
        raise Invalid(f"{machine.name} has not every variable that the role {role.name} needs.", problems=missing)
    known = variables.read(said)
    plan = network_plan(machine, networks, said)
    boot, cards = _cards(machine, networks) if plan is None else (_boot_card(plan), ())
    network = _boot_network(machine, networks)
    pin = pins.parse(said.get(pins.KEY), field=f"vars.{pins.KEY}") or pins.parse(release.snapshot)
    release = own_keys.release_keyed(pinned_addresses.release_at(release, pin, urls.node), urls.node, own)
    site = own_keys.site_keyed(
        pinned_addresses.site_at(sites.read(said, urls.node), pin, urls.node), release, urls.node, own
    )
    dialect = dialects.dialect(release.family, release.version, release.installer)
    package_family = "el" if release.family in dialects.EL_FAMILIES else release.family
    layout = known.layout or storage.read(role.storage.get("layout", "plain"), "storage.layout")
    of_role = of_family(role.packages, package_family)
    return AnswerSpec(
        hostname=machine.name,
        domain=_lower(known.domain if known.domain is not None else network.domain if network else ""),
        boot=boot,
        cards=cards,
        release=release,
        role=role.name,
        packages=_packages(
            of_role,
            (*known.packages, *_for_disks(layout, package_family, of_role), *network_packages.needed(plan, dialect)),
            site,
            dialect,
        ),
        services=of_family(role.services, package_family),
        from_data=tuple(name for name, said in (("packages", role.packages), ("services", role.services)) if not said),
        answer_url=urls.answer,
        callback_url=urls.callback,
        system_disk=next((disk.path for disk in machine.disks if disk.purpose == "system"), None),
        data_disks=tuple(disk.path for disk in machine.disks if disk.purpose == "data"),
        keep_disks=tuple(disk.path for disk in machine.disks if disk.purpose == "keep"),
        known_disks=machine.disks,
        storage=layout,
        timezone=known.timezone,
        locale=known.locale,
        keyboard=known.keyboard,
        ntp=tuple(_lower(each) for each in (known.ntp if known.ntp is not None else network.ntp if network else ())),
        ssh_keys=known.ssh_authorized_keys,
        root_password_hash=known.root_password_hash,
        appliance_key=own_key() if site.remote_access else "",
        site=site,
        network=plan,
        vars=said,
        cluster=cluster.name,
        secrets=secrets,
    )


def _lower(name: str) -> str:
    """What was saved with capitals is said without: they mean nothing in a name, and installers refuse them."""
    return name.lower()


def layers(machine: MachineFacts, role: RoleFacts, cluster: ClusterFacts) -> dict[str, Mapping[str, Any]]:
    """Where this machine's variables are said, the strongest last."""
    return merging.layers(
        role.variables, role=role.vars, cluster=cluster.vars, secrets=cluster.secrets, machine=machine.vars
    )


def network_plan(
    machine: MachineFacts, networks: Mapping[str, NetworkFacts], said: Mapping[str, Any]
) -> NetworkPlan | None:
    """Its network in our language; None where its cards say it all. Raises BadNetwork with every fault."""
    if not resolving.needed(said.get("network"), machine.cards, networks):
        return None
    return resolving.parse(
        said.get("network"), boot=machine.mac, cards=machine.cards, networks=networks, addresses=said.get("addresses")
    )


def _boot_card(plan: NetworkPlan) -> Card:
    """The address that the machine is known by: the boot card's, whatever bond or bridge has it."""
    speaker = plan.speaker
    return Card(
        plan.boot_card.mac,
        None,  # an installer's kernel may call it otherwise
        address=next(iter(speaker.static4), None),
        gateway=speaker.gateway4,
        dns=plan.dns if speaker.static4 else (),
    )


def _for_disks(layout: Layout, family: str, present: Any) -> tuple[str, ...]:
    return tuple(name for name in storage.packages(layout, family) if name not in present)


def _packages(role: Any, more: tuple[str, ...], site: Site, dialect: dialects.Dialect) -> tuple[str, ...]:
    """Each once, in their order; what the site does not want at all is not asked for either."""
    if not site.said:
        return (*role, *more)
    wanted = dict.fromkeys((*role, *more, *site.packages(dialect)))
    return tuple(package for package in wanted if package not in site.packages_remove)


def release_spec(
    *,
    name: str,
    family: str,
    version: str,
    installer: str,
    install_url: str,
    kernel_args: str,
    repositories: list[Any],
    settings: Mapping[str, Any],
    node_url: str,
) -> ReleaseSpec:
    """A release with our address filled in."""

    def filled(url: str) -> str:
        return url.replace("{node_url}", node_url)

    return ReleaseSpec(
        name=name,
        family=family,
        version=version,
        installer=installer,
        install_url=filled(install_url),
        repositories=tuple(
            Repository(
                name=said["name"],
                url=filled(said["url"]),
                suite=said.get("suite", ""),
                components=said.get("components", ""),
                key=filled(said.get("key", "")),
            )
            for said in repositories
        ),
        kernel_args=filled(kernel_args),
        udeb_suite=settings.get("udeb_suite", ""),
        net_image=filled(str(settings.get("net_image", ""))),
        allow_unauthenticated=bool(settings.get("allow_unauthenticated")),
        archive=filled(str(settings.get("archive", ARCHIVE if installer == AUTOINSTALL else ""))),
        source=str(settings.get("source", "")),
        snapshot=str(settings.get(pins.KEY) or ""),
    )


def _cards(machine: MachineFacts, networks: Mapping[str, NetworkFacts]) -> tuple[Card, tuple[Card, ...]]:
    boot = Card(machine.mac)
    others = []
    for row in machine.cards:
        card = _card(row, networks.get(row.network or ""), boots=row.mac == machine.mac)
        if row.mac == machine.mac:
            boot = card
        elif row.network is not None:
            others.append(card)
    return boot, tuple(others)


def _card(row: CardFacts, network: NetworkFacts | None, *, boots: bool) -> Card:
    if row.address is None or network is None:
        return Card(row.mac, row.name)
    if boots and network.dhcp_start is not None:
        return Card(row.mac, row.name)  # its address is a reservation: DHCP gives it, to the installer too
    return Card(
        row.mac,
        row.name,
        address=f"{row.address}/{_prefix(network.cidr)}",
        gateway=network.gateway if boots else None,
        dns=tuple(network.dns) if boots else (),
        vlan=None if boots else network.vlan,
    )


@lru_cache(maxsize=1024)
def _prefix(cidr: str) -> int:
    return int(IPNetwork(cidr).prefixlen)


def _boot_network(machine: MachineFacts, networks: Mapping[str, NetworkFacts]) -> NetworkFacts | None:
    card = next((row for row in machine.cards if row.mac == machine.mac), None)
    if card is not None and card.network is not None:
        return networks.get(card.network)
    return next(iter(networks.values())) if len(networks) == 1 else None
