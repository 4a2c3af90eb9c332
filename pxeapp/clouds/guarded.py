"""The HTTP under openstacksdk: only to addresses that may be asked, to no other host by a redirect, and never for long.

openstacksdk alone bounds the silence of a connection, but neither its whole time nor the size of an answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from netaddr import IPNetwork
from requests.adapters import HTTPAdapter

from pxeapp import pinned
from pxeapp.clouds.errors import CloudAway, CloudRefused
from pxeapp.errors import Unavailable

SILENCE_S = 10.0  # for connecting, and for each silence
WHOLE_S = 20.0  # for a whole answer, however busily it trickles
MOST_BYTES = 64 * 1024 * 1024
CHUNK = 64 * 1024


class Guarded(HTTPAdapter):
    """Asks, and reads the answer, within limits. `ca`: the only certificates that are believed; empty: this host's."""

    def __init__(self, networks: Sequence[IPNetwork], ca: str) -> None:
        self._networks = networks
        self._ca = ca
        self.until: float | None = None  # by the monotonic clock: when whoever asks wants to be done with everything
        super().__init__()

    def send(self, request: requests.PreparedRequest, *_: Any, **_said: Any) -> requests.Response:
        """As requests calls it, with our own limits."""
        url = str(request.url)
        _refuse_address(url, self._networks)
        until = time.monotonic() + WHOLE_S
        until = until if self.until is None else min(until, self.until)
        left = until - time.monotonic()
        if left <= 0:
            raise CloudAway(f"{url[:200]} is not asked any more: the answers before took too long.")
        response = super().send(request, stream=True, timeout=min(SILENCE_S, left), verify=True, proxies={})
        try:
            _refuse_elsewhere(url, response)
            # requests has no other way to hand in what was read of a response; its own `content` does the same.
            response._content = _read(response, until, url)
            response._content_consumed = True  # type: ignore[attr-defined]
        finally:
            response.close()
        return response

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """requests' own, with our certificates in place of the bundle that it brings."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if self._ca:
            return host, {**pool, "ca_certs": None, "ca_cert_data": self._ca, "cert_reqs": "CERT_REQUIRED"}
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """requests would put its bundle in here a second time."""
        if not self._ca:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]


def session(guarded: Guarded) -> requests.Session:
    """One that takes nothing from the environment: no proxy, no .netrc, no bundle."""
    made = requests.Session()
    made.trust_env = False
    made.mount("http://", guarded)
    made.mount("https://", guarded)
    return made


def _refuse_address(url: str, networks: Sequence[IPNetwork]) -> None:
    parts = urlsplit(url)
    try:
        addresses = pinned.resolve(parts)
    except Unavailable as error:
        raise CloudAway(error.sentence, hint="Check the cloud's catalogue, and the DNS.") from None
    if pinned.first_allowed(addresses, networks) is None:
        raise CloudRefused(
            f"{parts.hostname} is {', '.join(addresses)}, which may not be contacted.",
            hint="PXEAPP_ROLLOUT_NETWORKS names what is allowed.",
        )


def _refuse_elsewhere(url: str, response: requests.Response) -> None:
    """Our token goes where the catalogue says, and nowhere else."""
    said = response.headers.get("Location")
    if response.status_code not in (301, 302, 303, 305, 307, 308) or said is None:
        return
    there, here = urlsplit(urljoin(url, said)), urlsplit(url)
    if (there.hostname, there.port, there.scheme) != (here.hostname, here.port, here.scheme):
        raise CloudRefused(f"{here.hostname} redirects to another host: {there.geturl()[:200]}.")


def _read(response: requests.Response, until: float, url: str) -> bytes:
    found = bytearray()
    for chunk in response.iter_content(CHUNK):
        found += chunk
        if len(found) > MOST_BYTES:
            raise CloudAway(f"{url[:200]} answers with more than {MOST_BYTES // 1024**2} MB.")
        if time.monotonic() > until:
            raise CloudAway(f"{url[:200]} takes too long to answer.")
    return bytes(found)
