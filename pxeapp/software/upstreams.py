"""The mirrors that machines reach through us: which there are, where they lie, and how we talk to one.

The defaults come from `PXEAPP_MIRROR_UPSTREAMS`, or else from this machine's own package sources; operators add rows
to them, see cache/configured.py. An upstream is reached directly, through the HTTP proxy that apt is told to use, or
through a mirror door: a unix socket behind which `pxeapp mirror-door` relays, for a host (or a network namespace)
without any route out.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from netaddr import IPNetwork
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from pxeapp import pinned
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Invalid, NotFound, PxeError, Unavailable
from pxeapp.software import apt_sources
from pxeapp.software.cache.models import SoftwareUpstream

DOOR_PREFIX = "http+unix://"
TIMEOUT_S = 30.0
USER_AGENT = "pxeapp-mirror"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream mirror. `path` has no slash at its end; `socket` is a door's, `proxy` an HTTP proxy's URL.

    `networks` is the address policy (see pinned.py) for one that an operator wrote; None where whoever runs this host
    named it.
    """

    name: str
    scheme: Literal["http", "https", "unix"]
    host: str
    port: int
    path: str
    socket: str = ""
    proxy: str = ""
    networks: tuple[IPNetwork, ...] | None = None

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"{DOOR_PREFIX}{self.socket}:{self.path}"
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """The Host header: the port is named only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}.get(self.scheme) else f"{host}:{self.port}"


def parse(name: str, url: str, *, proxy: str = "", networks: tuple[IPNetwork, ...] | None = None) -> Upstream:
    """An upstream from its URL, whose form config or cache/service.py has checked: http, https or http+unix."""
    if url.startswith(DOOR_PREFIX):
        path, _, rest = url.removeprefix(DOOR_PREFIX).partition(":")
        return Upstream(name, "unix", "door", 80, rest.rstrip("/"), socket=path)
    parts = urlsplit(url)
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    port = parts.port or (443 if scheme == "https" else 80)
    return Upstream(name, scheme, parts.hostname or "", port, parts.path.rstrip("/"), proxy=proxy, networks=networks)


def behind_door(upstream: Upstream, socket: str) -> Upstream:
    """One behind an HTTP proxy, which nginx does not speak: through a door of our own on this socket.

    Its host is another one for each address, so that nothing is taken for what came from the address before.
    """
    door = parse(upstream.name, f"{DOOR_PREFIX}{socket}:/{upstream.name}")
    return replace(door, host=f"door-{hashlib.sha256(str(upstream).encode()).hexdigest()[:16]}")


def defaults(settings: Settings) -> dict[str, Upstream]:
    """The upstreams that no row is needed for: the settings' where there are any, else those that this machine uses."""
    dump = apt_sources.apt_config()
    urls: Mapping[str, str] = settings.mirror_upstreams or {
        name: mirror.url for name, mirror in apt_sources.mirrors(apt_sources.read()).items()
    }
    return {
        name: parse(name, url, proxy="" if url.startswith(DOOR_PREFIX) else apt_sources.proxy_for(url, dump))
        for name, url in urls.items()
    }


def written(settings: Settings, name: str, url: str) -> Upstream:
    """An upstream from an operator's row: the address policy holds for it."""
    proxy = apt_sources.proxy_for(url, apt_sources.apt_config())
    return parse(name, url, proxy=proxy, networks=settings.fetch_networks)


def configured(settings: Settings) -> dict[str, Upstream]:
    """Every upstream by name: the defaults, and what operators say in their rows (see cache/)."""
    return {**defaults(settings), **{name: written(settings, name, url) for name, url in _rows(settings)}}


def _rows(settings: Settings) -> list[tuple[str, str]]:
    """Those of operators that have a URL of their own; none while there is no database to ask."""
    database = Database(settings.database_url)
    try:
        if database.file is not None and not database.file.path.exists():
            return []
        with database.read() as session:
            query = select(SoftwareUpstream.name, SoftwareUpstream.url).where(SoftwareUpstream.url != "")
            return [(name, url) for name, url in session.execute(query)]
    except (PxeError, SQLAlchemyError) as error:
        log.warning("only the upstreams of the settings are known: %s", error)
        return []
    finally:
        database.dispose()


def named(settings: Settings, name: str) -> Upstream:
    """The upstream of this name; raises NotFound with what to set."""
    known = configured(settings)
    if name not in known:
        raise NotFound(
            f"No mirror named {name!r} is known: no row, no setting and no package source of this machine names it "
            f"(known: {', '.join(known) or 'none'}).",
            hint=f"Add it: pxeapp cache set {name} --url http://YOUR-MIRROR/{name}, or set "
            f"PXEAPP_MIRROR_UPSTREAMS={name}=http://YOUR-MIRROR/{name}",
        )
    return known[name]


def resolve(upstream: Upstream) -> tuple[str, ...]:
    """The addresses that may be contacted, sorted; none when its name cannot be resolved, or where none is needed."""
    if upstream.scheme == "unix":
        return ()
    try:
        found = socket.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except OSError:
        return ()
    addresses = sorted({str(entry[4][0]) for entry in found})
    return tuple(each for each in addresses if upstream.networks is None or pinned.allowed(each, upstream.networks))


@contextmanager
def request(
    upstream: Upstream,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[http.client.HTTPResponse]:
    """One request to `path` below the upstream (unquoted, no leading slash); raises Unavailable when it fails.

    Redirects are not followed and statuses are the caller's to judge. `timeout_s` is that of every single wait.
    """
    target = f"{upstream.path}/{quote(path, safe='/+~:@!$&()*,;=')}"
    link = connection(upstream, timeout_s)
    if upstream.proxy and upstream.scheme == "http":
        target = f"http://{upstream.authority}{target}"
    sent = {"Host": upstream.authority, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}
    try:
        link.request(method, target, headers=sent)
        response = link.getresponse()
    except (OSError, http.client.HTTPException) as error:
        link.close()
        raise Unavailable(
            f"The mirror {upstream} does not answer: {error}.", hint="Is it up, and reachable?"
        ) from error
    try:
        yield response
    finally:
        link.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("door", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connection(upstream: Upstream, timeout_s: float = TIMEOUT_S) -> http.client.HTTPConnection:
    """A connection to it that is not open yet; what is asked over an HTTP proxy names the whole URL."""
    if upstream.scheme == "unix":
        return _UnixConnection(upstream.socket, timeout_s)
    if upstream.networks is not None and not upstream.proxy:
        return _pinned(upstream, timeout_s)
    tls = ssl.create_default_context() if upstream.scheme == "https" else None
    if not upstream.proxy:
        if tls is not None:
            return http.client.HTTPSConnection(upstream.host, upstream.port, timeout=timeout_s, context=tls)
        return http.client.HTTPConnection(upstream.host, upstream.port, timeout=timeout_s)
    proxy = urlsplit(upstream.proxy)
    host, port = proxy.hostname or "", proxy.port or 3128
    if tls is None:
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    tunnel = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
    tunnel.set_tunnel(upstream.host, upstream.port)
    return tunnel


def _pinned(upstream: Upstream, timeout_s: float) -> http.client.HTTPConnection:
    """To the first address that the policy allows; raises Invalid where it allows none."""
    parts = urlsplit(str(upstream))
    addresses = pinned.resolve(parts, hint="Check its spelling and the DNS.")
    address = pinned.first_allowed(addresses, upstream.networks or ())
    if address is None:
        raise Invalid(
            f"{upstream.host} is {', '.join(addresses)}, which this appliance may not contact.",
            hint="Addresses of this host and link-local ones are refused; PXEAPP_FETCH_NETWORKS names what is allowed.",
        )
    return pinned.Connection(parts, address, timeout_s)


def clean(path: str) -> str | None:
    """A request's path below an upstream, unquoted, or None when it is not one (dots, controls, empty parts)."""
    plain = unquote(path)
    parts = plain.split("/")
    if not plain or any(part in ("", ".", "..") for part in parts) or any(ord(char) < 0x21 for char in plain):
        return None
    return plain
