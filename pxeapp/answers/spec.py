"""Everything an answer file is made of: plain values, checked once, nothing from the database.

Whatever lands in a kickstart, a preseed or a shell script is one line of harmless characters; a value that
could mean something in one of those languages is refused here, with its field.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from netaddr import AddrFormatError, IPAddress, IPNetwork

from pxeapp.answers import own_keys, releases
from pxeapp.answers import site as sites
from pxeapp.answers.network.plan import Bond, NetworkPlan
from pxeapp.answers.patterns import (
    CRYPT,
    DEBIAN_PACKAGE,
    DISK,
    DOMAIN,
    HOSTNAME,
    INTERFACE,
    ISO,
    LOCALE,
    NODE_URL,
    PACKAGE,
    PLAIN_ADDRESS,
    SERVICE,
    SSH_KEY,
    URL,
    WORD,
    WORDS,
    ZONE,
)
from pxeapp.answers.site import Site
from pxeapp.answers.storage import PLAIN, Layout, known
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import mac as macs
from pxeapp.machines import networks


class BadAnswerValue(Invalid):
    """A value that must not reach an answer file."""

    title = "Bad answer value"


@dataclass(frozen=True, slots=True)
class Card:
    """A network card. `address` with its prefix (`10.0.0.5/24`) is static; without one it is DHCP."""

    mac: str
    name: str | None = None
    address: str | None = None
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    vlan: int | None = None

    @property
    def ip(self) -> str:
        """The static address alone."""
        return self.address.partition("/")[0] if self.address else ""

    @property
    def netmask(self) -> str:
        """Its netmask in dotted form."""
        return _netmask(self.address.partition("/")[2]) if self.address else ""


@lru_cache(maxsize=64)
def _netmask(prefix: str) -> str:
    return str(IPNetwork(f"0.0.0.0/{prefix}").netmask)


@dataclass(frozen=True, slots=True)
class Repository:
    """A package repository. `suite` and `components` are Debian's; an RPM repository has only its URL."""

    name: str
    url: str
    suite: str = ""
    components: str = ""
    key: str = ""

    @property
    def ours(self) -> bool:
        """Whether the appliance itself has signed its index."""
        return own_keys.is_own_key(self.key)


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """The release as far as an answer file depends on it."""

    name: str
    family: str
    version: str
    installer: str
    install_url: str
    repositories: tuple[Repository, ...] = ()
    kernel_args: str = ""
    udeb_suite: str = ""
    net_image: str = ""  # the squashfs that an Ubuntu installer from the server ISO unpacks in place of debootstrap
    allow_unauthenticated: bool = False
    own_key: str = ""  # where our key is, when what it is installed from is a repository of ours
    own_key_text: str = ""  # the key itself, armoured, for an installer that takes no address of one
    components: tuple[str, ...] = ()  # what a repository of ours that it is installed from has; (): not known
    archive: str = ""  # the Debian-style archive that an installer from an ISO takes its packages from
    source: str = ""  # which of the systems on Ubuntu's server ISO, e.g. ubuntu-server-minimal
    snapshot: str = ""  # what it is pinned to, NAME or channel:NAME; its addresses lead there already


@dataclass(frozen=True, slots=True, repr=False)
class AnswerSpec:
    """One machine's answers. Secret are `answer_url`, `callback_url` (they hold tokens) and what `secrets` names."""

    hostname: str
    domain: str
    boot: Card
    release: ReleaseSpec
    role: str
    packages: tuple[str, ...]
    services: tuple[str, ...]
    answer_url: str
    callback_url: str
    cards: tuple[Card, ...] = ()
    system_disk: str | None = None
    data_disks: tuple[str, ...] = ()
    keep_disks: tuple[str, ...] = ()
    known_disks: tuple[known.Disk, ...] = ()  # what is known of these and others; a layout must fit them
    storage: Layout = PLAIN  # which disks, and how they are divided; see answers/storage/
    timezone: str = "Etc/UTC"
    locale: str = "en_US.UTF-8"
    keyboard: str = "us"
    ntp: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    root_password_hash: str | None = None
    appliance_key: str = ""  # the public half of the key by which we come in, where `site.remote_access` wants that
    site: Site = sites.NOTHING  # what every shop has: proxy, users, certificates, files, scripts
    network: NetworkPlan | None = None  # None: the cards say it all, and installers write it by themselves
    vars: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    cluster: str = ""
    secrets: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # those of `vars`, to be masked
    from_data: tuple[str, ...] = ()  # "packages", "services": which of them the role's row leaves to its data in roles/

    @property
    def layout(self) -> str:
        """Where root is: `plain`, on a partition; `lvm`, in the volume group named system."""
        return self.storage.root

    @property
    def over6(self) -> bool:
        """Whether the machine reaches us over IPv6: our address is one."""
        return "//[" in self.answer_url

    def __repr__(self) -> str:
        """Whose it is, and nothing of what is in it: it may end up in a log."""
        return f"AnswerSpec({self.hostname!r}, release={self.release.name!r}, role={self.role!r}, ...)"

    @property
    def reach(self) -> sites.Reach:
        """What it reaches by the site's proxy, and what without it."""
        return sites.reach(self)

    def __post_init__(self) -> None:
        releases.check(self.release.installer, self.release.family, self.release.version)
        problems = [*_identity(self), *_network(self), *_storage(self), *_system(self), *_release(self.release)]
        if problems:
            raise BadAnswerValue("The answer file cannot be made.", problems=problems)


def _identity(spec: AnswerSpec) -> Iterable[FieldProblem]:
    yield from _match("hostname", spec.hostname, HOSTNAME, "Use a-z, 0-9 and dashes.")
    yield from _match("domain", spec.domain, DOMAIN, "Write it as rack.example.org.")
    yield from _match("role", spec.role, WORD, "Use letters, digits, dots and dashes.")
    yield from _match("cluster", spec.cluster or "x", WORD, "Use letters, digits, dots and dashes.")
    for name in ("answer_url", "callback_url"):
        yield from _match(name, getattr(spec, name), NODE_URL, "Check PXEAPP_NODE_URL.")


def _network(spec: AnswerSpec) -> Iterable[FieldProblem]:
    if spec.network is not None and spec.network.installer != spec.network.boot:
        yield from _installs_over(spec.release, spec.network)
    for number, card in enumerate((spec.boot, *spec.cards)):
        where = f"interfaces.{number}"
        if macs.parse_or_none(card.mac) != card.mac:
            yield FieldProblem(f"{where}.mac", f"{_shown(card.mac)} is not in our one spelling.")
        if card.name is not None:
            yield from _match(f"{where}.name", card.name, INTERFACE, "Write it as eno1.")
        if card.vlan is not None and not 1 <= card.vlan <= 4094:
            yield FieldProblem(f"{where}.vlan", f"{card.vlan} is not a VLAN.", "Use 1 to 4094.")
        for name, value in (("gateway", card.gateway), *(("dns", each) for each in card.dns)):
            if value is not None and not _is_address(value):
                yield FieldProblem(f"{where}.{name}", f"{_shown(value)} is not an address.", "Write it as 10.0.0.7.")
        if card.address is not None:
            yield from _static(where, card, card.address)


def _installs_over(release: ReleaseSpec, plan: NetworkPlan) -> Iterable[FieldProblem]:
    """Anaconda makes bonds and VLANs by itself; Ubuntu's live session a bond, once kernel and ISO are there."""
    live = release.installer == releases.Subiquity.installer
    if release.installer == releases.Enterprise.installer or (live and isinstance(plan.device(plan.installer), Bond)):
        return
    fix = "Leave it out: it installs over the boot card, and the bond or VLAN is there afterwards."
    problem = f"the installer of {release.name} uses one untagged card only."
    if live:
        problem = f"the initrd of {release.name}, which loads the ISO, knows no VLAN."
        fix = "Leave it out, or name the bond that has the boot card: the VLAN is there once the installer runs."
    yield FieldProblem("vars.network.installer", problem, fix)


def _static(where: str, card: Card, address: str) -> Iterable[FieldProblem]:
    """A static address goes to the installer in IPv4's words only: address, netmask, gateway."""
    ip, slash, prefix = address.partition("/")
    if not _is_address(ip) or ":" in ip:
        yield FieldProblem(
            f"{where}.address", f"{_shown(ip)} is not an IPv4 address.", "Write it as 10.0.0.7, or use DHCP."
        )
    elif not slash or not prefix.isascii() or not prefix.isdigit() or not 1 <= int(prefix) <= 32:
        yield FieldProblem(f"{where}.address", f"{_shown(address)} has no prefix.", "Give its network a CIDR.")
    elif own := _own_of_its_network(address):
        yield FieldProblem(f"{where}.address", own, "Write a machine's address in it.")
    elif card.gateway == ip:
        yield FieldProblem(f"{where}.gateway", f"{ip} is the machine itself.", "Write the router's address.")
    elif card.gateway is not None and _is_address(card.gateway) and not _reaches(ip, int(prefix), card.gateway):
        fix = "Give the network a gateway of its own."
        yield FieldProblem(f"{where}.gateway", f"{card.gateway} cannot be reached from {address}.", fix)


@lru_cache(maxsize=4096)
def _own_of_its_network(address: str) -> str:
    network = IPNetwork(address)
    return networks.own_address(address, network.ip, network)


def _reaches(ip: str, prefix: int, gateway: str) -> bool:
    """Whether an IPv4 address has the gateway in its own network."""
    if ":" in gateway:
        return False
    one, other = (int.from_bytes(socket.inet_aton(each), "big") for each in (ip, gateway))
    return (one ^ other) >> (32 - prefix) == 0


def _storage(spec: AnswerSpec) -> Iterable[FieldProblem]:
    fix = "Write disk/by-path/..., disk/by-id/... or a name such as sda."
    for name, disks in (
        ("disks.system", [] if spec.system_disk is None else [spec.system_disk]),
        ("disks.data", spec.data_disks),
        ("disks.keep", spec.keep_disks),
    ):
        for disk in disks:
            yield from _match(name, disk, DISK, fix)
    others = {*spec.data_disks, *spec.keep_disks}
    if spec.system_disk in others:
        yield FieldProblem("disks.system", f"{spec.system_disk} is also a data disk.", "Name each disk once.")
    if spec.storage is not PLAIN:
        kept = [known.Disk(path, "data") for path in dict.fromkeys((*spec.data_disks, *spec.keep_disks))]
        system = [known.Disk(spec.system_disk)] if spec.system_disk else []
        yield from known.problems(spec.storage, spec.known_disks or (*system, *kept), "vars.layout")
        yield from _filesystems(spec)


def _filesystems(spec: AnswerSpec) -> Iterable[FieldProblem]:
    possible = releases.dialect(spec.release.family, spec.release.version, spec.release.installer).filesystems
    for where, kind in (
        ("filesystem", spec.storage.filesystem),
        *((f"raw.{number}.format", raw.filesystem) for number, raw in enumerate(spec.storage.raw)),
    ):
        if kind and kind not in possible:
            fix = f"Use {' or '.join(possible)}."
            yield FieldProblem(f"vars.layout.{where}", f"{spec.release.name} does not make {kind}.", fix)


def _system(spec: AnswerSpec) -> Iterable[FieldProblem]:
    dialect = releases.dialect(spec.release.family, spec.release.version, spec.release.installer)
    debian = not isinstance(dialect, releases.Enterprise)
    if spec.root_password_hash and spec.root_password_hash[1:].split("$", 1)[0] not in dialect.crypt:
        known = ", ".join(f"${name}$" for name in dialect.crypt)
        yield FieldProblem(
            "root_password_hash",
            f"{spec.release.name} cannot check a hash of this kind, so nobody could sign in.",
            f"It knows {known}; make one with: openssl passwd -6",
        )
    for name, values, pattern, fix in (
        ("packages", spec.packages, DEBIAN_PACKAGE if debian else PACKAGE, "Write package names."),
        ("services", spec.services, SERVICE, "Write unit names."),
        ("ssh_authorized_keys", spec.ssh_keys, SSH_KEY, "Paste the public key: type, key, comment."),
        ("timezone", [spec.timezone], ZONE, "Write it as Europe/Rome."),
        ("locale", [spec.locale], LOCALE, "Write it as en_US.UTF-8."),
        ("keyboard", [spec.keyboard], WORD, "Write it as us or de."),
        (
            "root_password_hash",
            [] if spec.root_password_hash is None else [spec.root_password_hash],
            CRYPT,
            "Use a crypt(3) hash.",
        ),
    ):
        for value in values:
            yield from _match(name, value, pattern, fix, secret=name == "root_password_hash")
    for server in spec.ntp:
        if not server or not _is_address(server):
            yield from _match("ntp", server or " ", DOMAIN, "Write a host name or an address.")
    if spec.site.said:
        yield from spec.site.problems(dialect, spec.release)
    for name, value in spec.vars.items():
        if name in sites.TEXTS:
            continue  # read by then: their texts stand encoded wherever they go
        yield from _one_line(f"vars.{name}", [name, value])


def _one_line(where: str, value: Any) -> Iterable[FieldProblem]:
    """A site's templates may write variables anywhere: none of them may begin a line of its own."""
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _one_line(where, each)
    elif not str(value).isprintable():
        fix = "Take it out; texts of several lines belong in a template of the site's own."
        yield FieldProblem(where[:80], "holds a line break or a control character.", fix)


@lru_cache(maxsize=256)
def _release(release: ReleaseSpec) -> tuple[FieldProblem, ...]:
    """The same for every machine that is installed with it."""
    return tuple(_release_problems(release))


def _release_problems(release: ReleaseSpec) -> Iterable[FieldProblem]:
    for name in ("name", "family", "version", "installer"):
        yield from _match(f"release.{name}", getattr(release, name), WORD, "Use letters, digits, dots and dashes.")
    fix = "PATCH the release's install_url: the tree or mirror its installer reads, http://host/path."
    yield from _match("release.install_url", release.install_url, URL, fix)
    if release.installer == releases.Subiquity.installer and not ISO.fullmatch(release.install_url):
        fix = "PATCH the release's install_url: the live server's ISO, by http://, with a name that ends in .iso."
        yield FieldProblem("release.install_url", f"{_shown(release.install_url)} is no ISO that it can load.", fix)
    if release.own_key_text and not own_keys.ARMOUR.fullmatch(release.own_key_text):
        yield FieldProblem("release.own_key_text", "is no armoured key.", "See: pxeapp repository key list")
    if release.own_key:
        yield from _match("release.own_key", release.own_key, NODE_URL, "Check PXEAPP_NODE_URL.")
    if release.net_image:
        yield from _match("release.net_image", release.net_image, URL, "Write http://host/path.")
    if release.archive or release.installer == releases.Subiquity.installer:
        fix = "PATCH the release's settings.archive: the mirror of its packages, http://host/path."
        yield from _match("release.archive", release.archive, URL, fix)
    if release.source:
        yield from _match("release.source", release.source, WORD, "Write it as ubuntu-server or ubuntu-server-minimal.")
    yield from _match("release.udeb_suite", release.udeb_suite or "x", WORD, "Write a suite's name.")
    if not release.kernel_args.isprintable():
        yield FieldProblem("release.kernel_args", "holds a line break or a control character.", "Take it out.")
    debian = release.installer != releases.Enterprise.installer
    for number, repository in enumerate(release.repositories):
        where = f"release.repositories.{number}"
        yield from _match(f"{where}.name", repository.name, WORD, "Use letters, digits, dots and dashes.")
        yield from _match(f"{where}.url", repository.url, URL, "Write http://host/path.")
        yield from _match(f"{where}.suite", repository.suite, WORDS, "Write a suite's name.")
        yield from _match(f"{where}.components", repository.components, WORDS, "Write words such as: main contrib.")
        if debian and not repository.suite:
            yield FieldProblem(f"{where}.suite", "is missing.", "Name the suite; for a flat repository write: ./")
        if repository.key:
            yield from _match(f"{where}.key", repository.key, URL, "Write http://host/path.")


def _match(
    name: str, value: str, pattern: re.Pattern[str], fix: str, *, secret: bool = False
) -> Iterable[FieldProblem]:
    if not pattern.fullmatch(value):
        shown = "The value" if secret else _shown(value)
        yield FieldProblem(name, f"{shown} is not possible in an answer file.", fix)


def _shown(value: str) -> str:
    return repr(value[:100])


def _is_address(value: str) -> bool:
    """An address in the one spelling that every installer reads."""
    if PLAIN_ADDRESS.fullmatch(value):
        return True
    try:
        return str(IPAddress(value)) == value
    except (AddrFormatError, ValueError):
        return False
