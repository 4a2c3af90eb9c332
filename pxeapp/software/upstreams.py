"""The mirrors that machines reach through us: which there are, where they lie, and how we talk to one.

They come from `PXEAPP_MIRROR_UPSTREAMS`, or else from this machine's own package sources. An upstream is reached
directly, through the HTTP proxy that apt is told to use, or through a mirror door: a unix socket behind which
`pxeapp mirror-door` relays, for a host (or a network namespace) without any route out.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from pxeapp.config import Settings
from pxeapp.errors import NotFound, Unavailable
from pxeapp.software import apt_sources

DOOR_PREFIX = "http+unix://"
TIMEOUT_S = 30.0
USER_AGENT = "pxeapp-mirror"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream mirror. `path` has no slash at its end; `socket` is a door's, `proxy` an HTTP proxy's URL."""

    name: str
    scheme: Literal["http", "https", "unix"]
    host: str
    port: int
    path: str
    socket: str = ""
    proxy: str = ""

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"{DOOR_PREFIX}{self.socket}:{self.path}"
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """The Host header: the port is named only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}.get(self.scheme) else f"{host}:{self.port}"


def parse(name: str, url: str, *, proxy: str = "") -> Upstream:
    """An upstream from its setting, whose form config.py has checked: http, https or http+unix."""
    if url.startswith(DOOR_PREFIX):
        path, _, rest = url.removeprefix(DOOR_PREFIX).partition(":")
        return Upstream(name, "unix", "door", 80, rest.rstrip("/"), socket=path)
    parts = urlsplit(url)
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    port = parts.port or (443 if scheme == "https" else 80)
    return Upstream(name, scheme, parts.hostname or "", port, parts.path.rstrip("/"), proxy=proxy)


def configured(settings: Settings) -> dict[str, Upstream]:
    """Every upstream by name: the settings' where there are any, else this machine's own distribution mirrors."""
    dump = apt_sources.apt_config()
    urls: Mapping[str, str] = settings.mirror_upstreams or {
        name: mirror.url for name, mirror in apt_sources.mirrors(apt_sources.read()).items()
    }
    return {
        name: parse(name, url, proxy="" if url.startswith(DOOR_PREFIX) else apt_sources.proxy_for(url, dump))
        for name, url in urls.items()
    }


def named(settings: Settings, name: str) -> Upstream:
    """The upstream of this name; raises NotFound with what to set."""
    known = configured(settings)
    if name not in known:
        raise NotFound(
            f"No mirror named {name!r} is known: neither PXEAPP_MIRROR_UPSTREAMS nor this machine's package sources "
            f"name one (known: {', '.join(known) or 'none'}).",
            hint=f"Set PXEAPP_MIRROR_UPSTREAMS={name}=http://YOUR-MIRROR/{name}",
        )
    return known[name]


def resolve(upstream: Upstream) -> tuple[str, ...]:
    """The upstream's addresses, sorted; none when its name cannot be resolved now, or where no name is needed."""
    if upstream.scheme == "unix":
        return ()
    try:
        found = socket.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except OSError:
        return ()
    return tuple(sorted({str(entry[4][0]) for entry in found}))


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
    connection = _connection(upstream, timeout_s)
    if upstream.proxy and upstream.scheme == "http":
        target = f"http://{upstream.authority}{target}"
    sent = {"Host": upstream.authority, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}
    try:
        connection.request(method, target, headers=sent)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise Unavailable(
            f"The mirror {upstream} does not answer: {error}.", hint="Is it up, and reachable?"
        ) from error
    try:
        yield response
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("door", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(upstream: Upstream, timeout_s: float) -> http.client.HTTPConnection:
    if upstream.scheme == "unix":
        return _UnixConnection(upstream.socket, timeout_s)
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


def clean(path: str) -> str | None:
    """A request's path below an upstream, unquoted, or None when it is not one (dots, controls, empty parts)."""
    plain = unquote(path)
    parts = plain.split("/")
    if not plain or any(part in ("", ".", "..") for part in parts) or any(ord(char) < 0x21 for char in plain):
        return None
    return plain
