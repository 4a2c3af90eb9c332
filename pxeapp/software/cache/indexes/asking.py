"""One request of an index to an upstream, and what to make of its answer."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from pxeapp.errors import Invalid, NotFound, Unavailable
from pxeapp.software import upstreams
from pxeapp.software.cache.indexes.heads import MAX_HEAD
from pxeapp.software.upstreams import Upstream

WAIT_S = 20.0  # for the connection, and for every next piece
DEADLINE_S = 900.0
GONE = (403, 404, 410)


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer that is being read; what comes is counted by `received`."""

    response: http.client.HTTPResponse
    name: str
    began: float

    @property
    def modified(self) -> float:
        """When the upstream says that it was changed; now where it does not say so."""
        try:
            return parsedate_to_datetime(self.response.headers.get("Last-Modified", "")).timestamp()
        except ValueError:
            return time.time()

    @property
    def validators(self) -> dict[str, str]:
        """What to send to be told "still the same"."""
        said = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
        return {ask: value for ask, header in said.items() if (value := self.response.headers.get(header))}

    def read(self, amount: int) -> bytes:
        """The next piece; raises Unavailable when it breaks off or takes too long."""
        if time.monotonic() > self.began + DEADLINE_S:
            raise Unavailable(f"{self.name} took longer than {DEADLINE_S:.0f} s.", hint="Is the upstream slow?")
        try:
            chunk = self.response.read(amount)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self.name} broke off: {error!r}.", hint="It is asked again.") from error
        if not chunk and self.response.length:
            raise Unavailable(f"{self.name} broke off before its end.", hint="It is asked again.")
        return chunk

    def all(self) -> bytes:
        """A head as a whole."""
        pieces, size = [], 0
        while chunk := self.read(256 * 1024):
            size += len(chunk)
            if size > MAX_HEAD:
                raise Invalid(f"{self.name} is larger than any.", hint="Is this the right address?")
            pieces.append(chunk)
        return b"".join(pieces)


@contextmanager
def asked(upstream: Upstream, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Reading | None]:
    """GET a path; None when it is still what `headers` ask about. Raises NotFound, Unavailable or Invalid."""
    name = f"{upstream}/{path}"
    with upstreams.request(upstream, path, headers=headers, timeout_s=WAIT_S) as response:
        if response.status == 304 and headers:
            yield None
        elif response.status == 200:
            yield Reading(response, name, time.monotonic())
        elif response.status in GONE:
            raise NotFound(f"The upstream has no {name}.")
        elif response.status in (301, 302, 303, 307, 308):
            raise Unavailable(f"{name} redirects elsewhere.", hint="Name the final address of the upstream.")
        else:
            raise Unavailable(f"{name} answers {response.status} {response.reason}.", hint="It is asked again.")
