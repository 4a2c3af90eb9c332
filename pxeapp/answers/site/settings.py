"""What every shop has beside roles, disks and networks: read from variables, checked, ready for every installer.

Nothing said means: as the release does it by itself. Each value is refused with its field where it could not work,
or could mean something in the language it ends up in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, ValidationError

from pxeapp.answers.releases import Debian, Dialect, Enterprise
from pxeapp.answers.site.accounts import User
from pxeapp.answers.site.certificates import Certificate
from pxeapp.answers.site.contents import File, Script
from pxeapp.answers.site.firewall import FirewallSetting
from pxeapp.answers.site.handover import HandoverSetting
from pxeapp.answers.site.kernel import SerialConsole, Sysctl
from pxeapp.answers.site.proxy import Proxy
from pxeapp.answers.site.repositories import SiteRepository
from pxeapp.answers.site.words import (
    Host,
    KernelArg,
    Module,
    Network,
    PackageName,
    Part,
    Port,
    once,
    problems,
    shorthand,
)
from pxeapp.errors import FieldProblem, Invalid

if TYPE_CHECKING:
    from pxeapp.answers.spec import ReleaseSpec

KEPT = 256  # sites that were read and stay read, found again by their text
MOST = 100  # of anything that is a list
NOWHERE = "http://appliance.invalid:8081"  # stands for our address where only the rest is looked at
APPLIANCE_USER = "pxeapp"  # who the appliance signs in as; see boot/site/_remote_access.sh
EXTRA: dict[str, tuple[str, ...]] = {"salt": (), "puppet": (), "ansible": ("git",)}  # beside the agent itself


class Syslog(Part):
    """Where an installer sends its log while it works, by UDP."""

    host: Host
    port: Port = 514


def _syslog(value: Any) -> Any:
    host, colon, port = value.rpartition(":") if isinstance(value, str) else (value, "", "")
    if colon and port.isdigit() and ":" not in host:
        return {"host": host, "port": int(port)}
    return {"host": value}


class Site(Part):
    """The settings of a site, a role or a machine."""

    proxy: Annotated[Proxy, BeforeValidator(shorthand(lambda url: {"url": url}))] | None = None
    repositories: Annotated[tuple[SiteRepository, ...], Field(max_length=MOST), once("name")] = ()
    users: Annotated[tuple[User, ...], Field(max_length=MOST), once("name")] = ()
    selinux: Literal["enforcing", "permissive", "disabled"] = "enforcing"
    apparmor: StrictBool | None = None
    firewall: FirewallSetting | None = None
    serial_console: SerialConsole | None = None
    kernel_args: Annotated[tuple[KernelArg, ...], Field(max_length=MOST)] = ()
    installer_kernel_args: Annotated[tuple[KernelArg, ...], Field(max_length=MOST)] = ()
    kernel_modules_blacklist: Annotated[tuple[Module, ...], Field(max_length=MOST)] = ()
    sysctl: Sysctl = ()
    packages_remove: Annotated[tuple[PackageName, ...], Field(max_length=MOST)] = ()
    pre_scripts: Annotated[tuple[Script, ...], Field(max_length=MOST), once("name")] = ()
    post_scripts: Annotated[tuple[Script, ...], Field(max_length=MOST), once("name")] = ()
    files: Annotated[tuple[File, ...], Field(max_length=MOST), once("path")] = ()
    ca_certificates: Annotated[tuple[Certificate, ...], Field(max_length=MOST), once("name")] = ()
    handover: HandoverSetting | None = None
    boot_order: Literal["network-first", "disk-first"] = "network-first"
    keep_ssh_host_keys: StrictBool = False
    installer_logs: Literal["always", "failure", "never"] = "failure"
    remote_syslog: Annotated[Syslog, BeforeValidator(shorthand(_syslog))] | None = None
    remote_access: StrictBool = False
    remote_access_from: Annotated[tuple[Network, ...], Field(max_length=MOST)] = ()

    @property
    def said(self) -> bool:
        """Whether anything is."""
        return bool(self.model_fields_set)

    def added_args(self, dialect: Dialect) -> tuple[str, ...]:
        """What the installed system's kernel is told besides its consoles."""
        words = list(self.kernel_args)
        if self.kernel_modules_blacklist:
            words.append(f"modprobe.blacklist={','.join(self.kernel_modules_blacklist)}")
        if isinstance(dialect, Enterprise):
            if self.selinux == "disabled" and dialect.selinux_by_kernel:
                words.append("selinux=0")
        elif self.apparmor is not None:
            words += ["apparmor=1", "security=apparmor"] if self.apparmor else ["apparmor=0"]
        return tuple(words)

    def installer_args(self) -> tuple[str, ...]:
        """What the installer's kernel is told besides."""
        words = list(self.installer_kernel_args)
        if self.kernel_modules_blacklist:
            words.append(f"modprobe.blacklist={','.join(self.kernel_modules_blacklist)}")
        return tuple(words)

    @property
    def changes_kernel(self) -> bool:
        """Whether the system's last script has to do with its kernel."""
        console = self.serial_console is not None and self.serial_console.there
        return bool(self.sysctl or self.kernel_modules_blacklist or console)

    def packages(self, dialect: Dialect) -> tuple[str, ...]:
        """What the settings themselves need to be installed."""
        enterprise = isinstance(dialect, Enterprise)
        wanted = ["sudo"] if self.remote_access or any(user.sudo != "no" for user in self.users) else []
        if self.remote_access:
            wanted.append("openssh-server")
        if self.ca_certificates:
            wanted.append("ca-certificates")
        if self.firewall is not None and self.firewall.on:
            wanted.append("firewalld" if enterprise else "nftables")
        if self.apparmor and not enterprise:
            wanted.append("apparmor")
        if any(repository.priority for repository in self.repositories) and isinstance(dialect, Enterprise):
            wanted += dialect.priorities
        return (*wanted, *self._agents(dialect))

    def _agents(self, dialect: Dialect) -> tuple[str, ...]:
        if self.handover is None or self.handover.tool == "none":
            return ()
        return (self.handover.package or dialect.agents[self.handover.tool], *EXTRA[self.handover.tool])

    def late(self, more: Iterable[str], dialect: Dialect) -> frozenset[str]:
        """Which packages wait until the installed system knows its repositories: `more`, and the agent that takes over.

        They may be in one that is kept from the installer, which would end where it cannot find them.
        """
        if all(repository.installer for repository in self.repositories):
            return frozenset()
        return frozenset((*more, *self._agents(dialect)))

    def problems(self, dialect: Dialect, release: ReleaseSpec) -> Iterable[FieldProblem]:
        """What this release cannot do, though another one can."""
        names = {repository.name for repository in release.repositories}
        for number, repository in enumerate(self.repositories):
            where = f"vars.repositories.{number}"
            if repository.name in names:
                yield FieldProblem(f"{where}.name", f"{release.name} has one of that name.", "Use another.")
            if not isinstance(dialect, Enterprise) and not repository.suite:
                yield FieldProblem(f"{where}.suite", "is missing.", "Name the suite; for a flat repository write: ./")
            if isinstance(dialect, Enterprise) and repository.suite:
                yield FieldProblem(f"{where}.suite", f"{release.name} has rpm repositories: no suite.", "Leave it out.")
            if (
                isinstance(dialect, Debian)
                and repository.inline_key
                and repository.installer
                and not dialect.inline_keys
            ):
                fix = "Give the key's address, or say installer: false."
                yield FieldProblem(f"{where}.key", f"{release.name}'s installer reads keys only from an address.", fix)
        for number, user in enumerate(self.users):
            if self.remote_access and user.name == APPLIANCE_USER:
                fix = "Give the user another name, or say remote_access: false."
                yield FieldProblem(f"vars.users.{number}.name", f"{APPLIANCE_USER} is the appliance's own user.", fix)
            kind = (user.password_hash or "$")[1:].split("$", 1)[0]
            if user.password_hash and kind not in dialect.crypt:
                known = ", ".join(f"${name}$" for name in dialect.crypt)
                yield FieldProblem(
                    f"vars.users.{number}.password_hash",
                    f"{release.name} cannot check a hash of this kind, so the user could not sign in.",
                    f"It knows {known}; make one with: openssl passwd -6",
                )
        if self.remote_syslog is not None and isinstance(dialect, Enterprise) and ":" in self.remote_syslog.host:
            yield FieldProblem("vars.remote_syslog.host", "is an IPv6 address.", "Anaconda wants a name or IPv4.")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown: as it stands in answer files."""
        texts: tuple[File | Script, ...] = (*self.files, *self.pre_scripts, *self.post_scripts)
        secret = [each for each in texts if each.secret]
        return tuple(
            filter(
                None,
                (
                    self.proxy.secret if self.proxy else "",
                    *(user.password_hash or "" for user in self.users),
                    *(shown for each in secret for shown in each.shown),
                ),
            )
        )

    @property
    def templates(self) -> bool:
        """Whether a text comes from a template of the site's."""
        return any(each.template for each in (*self.files, *self.pre_scripts, *self.post_scripts))


NOTHING = Site()
NAMES = tuple(Site.model_fields)
# Their texts may have several lines: they are encoded wherever they go.
TEXTS = ("repositories", "pre_scripts", "post_scripts", "files", "ca_certificates")


def read(said: Mapping[str, Any], node_url: str = NOWHERE) -> Site:
    """The site's settings among the variables; raises Invalid with every one that cannot be used."""
    own = {name: said[name] for name in NAMES if said.get(name) is not None}
    return _read(json.dumps(own, default=str), node_url) if own else NOTHING


@lru_cache(maxsize=KEPT)
def _read(text: str, node_url: str) -> Site:
    try:
        return Site.model_validate(_ready(json.loads(text), node_url))
    except ValidationError as error:
        found = problems(error, "vars")
        raise Invalid("The site's settings cannot be used.", problems=found) from None


def check(name: str, value: Any) -> Iterable[tuple[str, str]]:
    """What is wrong with one variable, and how to mend it; the place within it stands first."""
    try:
        Site.model_validate(_ready({name: value}, NOWHERE))
    except ValidationError as error:
        for problem in problems(error):
            place = problem.field.removeprefix(name).removeprefix(".")
            yield (f"{place}: {problem.problem}" if place else problem.problem), problem.fix


def _ready(own: dict[str, Any], node_url: str) -> Any:
    """With our address filled in where repositories name it, as in a release's."""
    if isinstance(own.get("repositories"), (list, tuple)):
        own = {**own, "repositories": [_filled(each, node_url) for each in own["repositories"]]}
    return _tuples(own)


def _filled(repository: Any, node_url: str) -> Any:
    if not isinstance(repository, Mapping):
        return repository
    return {
        name: value.replace("{node_url}", node_url) if name in ("url", "key") and isinstance(value, str) else value
        for name, value in repository.items()
    }


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down: what is read here is never changed."""
    if isinstance(value, Mapping):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(_tuples(each) for each in value) if isinstance(value, (list, tuple)) else value
