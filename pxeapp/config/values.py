"""How a value of each kind is written; a refusal names the setting, what was found and what would be right."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from netaddr import AddrFormatError, IPNetwork

from pxeapp.errors import ConfigError

ROLES = ("viewer", "operator", "admin")
_WEB_URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~+-]+)*/?")
_LISTEN = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
# Machines are given this in boot scripts, kernel command lines and answer files: no space, quote or brace.
_NODE_URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?(/[A-Za-z0-9._~+-]+)*/?")
# Both end up in nginx's configuration: nothing that could mean something there.
_UPSTREAM_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_PATH = r"(/[A-Za-z0-9._~+-]+)*/?"
_UPSTREAM_URL = re.compile(
    rf"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?{_PATH}|http\+unix:///[A-Za-z0-9._/~+-]+:{_PATH}"
)
PRIVATE_NETWORKS = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,127.0.0.0/8"


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and port to listen on, written `HOST:PORT`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a group of an identity provider, or a role of Keystone, may do here."""

    group: str
    role: str
    projects: tuple[str, ...] | None = None  # None: all machines


def listen(name: str, value: str) -> Listen:
    """`HOST:PORT`, with an IPv6 address in brackets."""
    match = _LISTEN.fullmatch(value)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"PXEAPP_{name.upper()} is {value!r}.", hint="Write HOST:PORT, for example 0.0.0.0:8080.")
    return Listen(match["host"].strip("[]"), int(match["port"]))


def number(name: str, value: str, least: int, most: int) -> int:
    """A whole number within these bounds."""
    if not value.isascii() or not value.isdigit() or len(value) > 9 or not least <= int(value) <= most:
        raise ConfigError(f"PXEAPP_{name.upper()} is {value!r}.", hint=f"Use a whole number from {least} to {most}.")
    return int(value)


def switch(name: str, value: str) -> bool:
    """on or off."""
    if value.lower() not in ("on", "off", "true", "false"):
        raise ConfigError(f"PXEAPP_{name.upper()} is {value!r}.", hint="Use on or off.")
    return value.lower() in ("on", "true")


def web_url(name: str, value: str, *, slash: bool = False) -> str:
    """An address of ours or of a provider. An issuer is kept to the letter: its tokens are compared with it."""
    if value and not _WEB_URL.fullmatch(value):
        raise ConfigError(f"PXEAPP_{name.upper()} is {value!r}.", hint="Write http(s)://HOST, or with :PORT and /PATH.")
    return value if slash else value.rstrip("/")


def roles(name: str, value: str) -> frozenset[str]:
    """Roles of ours, separated by commas."""
    found = frozenset(part.strip() for part in value.split(",") if part.strip())
    if not found <= set(ROLES):
        raise ConfigError(f"PXEAPP_{name.upper()} is {value!r}.", hint=f"Use {', '.join(ROLES)}, separated by commas.")
    return found


def grants(name: str, value: str) -> tuple[Grant, ...]:
    """`GROUP=ROLE` or `GROUP=ROLE:PROJECT+PROJECT`, separated by commas; a group may itself hold an equals sign."""
    found = []
    for part in filter(None, (piece.strip() for piece in value.split(","))):
        group, _, right = part.rpartition("=")
        role, colon, projects = right.partition(":")
        listed = tuple(filter(None, (each.strip() for each in projects.split("+"))))
        if not group.strip() or role.strip() not in ROLES or (colon and (not listed or role.strip() == "admin")):
            raise ConfigError(
                f"PXEAPP_{name.upper()} has {part!r}.",
                hint=f"Write GROUP=ROLE or GROUP=ROLE:PROJECT+PROJECT, with ROLE one of {', '.join(ROLES)}; "
                "an admin works with all projects.",
            )
        found.append(Grant(group.strip(), role.strip(), listed if colon else None))
    return tuple(found)


def secret_file(name: str, value: str) -> Path | None:
    """A file that this very process reads; None without one."""
    if not value:
        return None
    path = Path(value)
    if not (path.is_file() and os.access(path, os.R_OK)):
        raise ConfigError(
            f"PXEAPP_{name.upper()} names {value!r}, which cannot be read.", hint="Create it, readable by this user."
        )
    return path


def present_file(name: str, value: str) -> Path | None:
    """A file that one of the processes reads; others may run as somebody who cannot."""
    if not value:
        return None
    path = Path(value)
    if not (path.is_absolute() and path.is_file()):
        raise ConfigError(f"PXEAPP_{name.upper()} names {value!r}, which is no file.", hint="Write its whole path.")
    return path


def networks(name: str, value: str) -> tuple[IPNetwork, ...]:
    """Networks as 10.0.0.0/24, or single addresses, separated by commas."""
    try:
        return tuple(IPNetwork(part.strip()) for part in value.split(",") if part.strip())
    except (AddrFormatError, ValueError) as error:
        raise ConfigError(
            f"PXEAPP_{name.upper()} is {value!r}: {error}.", hint="Write networks as 10.0.0.0/24, separated by commas."
        ) from error


def fingerprints(name: str, value: str) -> frozenset[str]:
    """Whole fingerprints of OpenPGP keys, separated by commas; spaces within them are no matter."""
    found = {part.replace(" ", "").upper() for part in value.split(",") if part.strip()}
    if wrong := sorted(each for each in found if not re.fullmatch("[0-9A-F]{40}", each)):
        hint = "Write all 40 digits of each fingerprint, as pxeapp bundle verify shows them."
        raise ConfigError(f"PXEAPP_{name.upper()} holds {wrong[0]!r}, which is no fingerprint.", hint=hint)
    return frozenset(found)


def upstreams(name: str, value: str) -> dict[str, str]:
    """`NAME=URL`, separated by commas."""
    pairs: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in value.split(","))):
        key, equals, url = part.partition("=")
        if not equals or not _UPSTREAM_NAME.fullmatch(key) or not _UPSTREAM_URL.fullmatch(url):
            raise ConfigError(
                f"PXEAPP_{name.upper()} has {part!r}.",
                hint="Write NAME=http://host/path (https, or http+unix:///SOCKET:/path for a mirror door), "
                "comma separated; names in lower case with digits and dashes.",
            )
        pairs[key] = url.rstrip("/")
    return pairs


def node_url(value: str, listen: Listen) -> str:
    """How machines reach us; where it is not said, by this host's own address."""
    if not value:
        host = _own_address() if listen.host in ("0.0.0.0", "::") else listen.host  # noqa: S104 - compared, not bound
        return f"http://{Listen(host, listen.port)}"
    match = _NODE_URL.fullmatch(value)
    if match is None or not 0 < int(match["port"] or 80) <= 65535:
        raise ConfigError(f"PXEAPP_NODE_URL is {value!r}.", hint="Write how machines reach us: http://10.0.0.1:8081.")
    return value.rstrip("/")


def _own_address() -> str:
    """The address this host would use towards the outside; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
