"""A connection to the one address that was looked at: for URLs that an operator wrote.

The host is resolved once, the address checked and then connected to, so that a name cannot point elsewhere between
the check and the use.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Sequence
from urllib.parse import SplitResult

from netaddr import IPAddress, IPNetwork

from pxeapp.errors import Unavailable

# Ourselves, and link-local (where clouds keep their metadata service): an operator's URL never gets there.
NEVER = tuple(
    IPNetwork(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "fe80::/10", "ff00::/8", "::ffff:0:0/96"),
    )
)


def port_of(parts: SplitResult) -> int:
    """The port of an http or https URL."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def resolve(parts: SplitResult, *, hint: str = "") -> list[str]:
    """The host's addresses, asked now, without the zone of link-local ones; raises Unavailable where there is none."""
    host = str(parts.hostname)
    try:
        found = socket.getaddrinfo(host, port_of(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is empty or too long for the DNS
        raise Unavailable(f"The name {host} cannot be resolved: {error}.", hint=hint) from error
    return list(dict.fromkeys(_without_zone(str(entry[4][0])) for entry in found))


def allowed(address: str, networks: Sequence[IPNetwork]) -> bool:
    """Whether this address may be contacted: `networks` are the only ones; empty means any but `NEVER`."""
    ip = IPAddress(_without_zone(address))
    return any(ip in network for network in networks) if networks else not any(ip in network for network in NEVER)


def first_allowed(addresses: Sequence[str], networks: Sequence[IPNetwork]) -> str | None:
    """The address that is going to be connected to; None where the policy allows none of them."""
    return next((address for address in addresses if allowed(address, networks)), None)


def _without_zone(address: str) -> str:
    return address.partition("%")[0]


class Connection(http.client.HTTPConnection):
    """A connection to one address that was checked, under the host's own name."""

    def __init__(self, parts: SplitResult, address: str, timeout_s: float) -> None:
        super().__init__(str(parts.hostname), port_of(parts), timeout=timeout_s)
        self._address = address
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None

    def connect(self) -> None:
        """Connect to the address, not to what the name says by now."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)


class CuttableConnection(Connection):
    """One that another thread may end: a timeout bounds each silence, and nothing the whole of a busy trickle."""

    was_cut = False
    _opened: socket.socket | None = None  # kept: http.client forgets it where an answer ends with the connection

    def connect(self) -> None:
        """Connect, and remember what is to be cut."""
        super().connect()
        self._opened = self.sock

    def cut(self) -> None:
        """Its time is over: whoever reads from it gets an end."""
        self.was_cut = True
        with contextlib.suppress(OSError):
            if self._opened is not None:
                self._opened.shutdown(socket.SHUT_RDWR)
