"""A line to one upstream: a connection that is kept from file to file, and what to make of its answers.

An upstream is one of those that the appliance knows, or a URL that an operator wrote; of the latter the address is
looked at first, and only that one is connected to (see pinned.py).
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import quote

from pxeapp.config import Settings
from pxeapp.errors import FieldProblem, Invalid, NotFound, Unavailable
from pxeapp.software import fetch, upstreams
from pxeapp.software.upstreams import Upstream

CHUNK = 64 * 1024  # what is lost with a process that is killed
TRIES = 3
PAUSE_S = 1.0  # before the second try, and twice as long before each next one
SLOWEST = 4096  # bytes per second: what takes longer is a line that trickles, and is given up
LEAST_S = 120.0
T = TypeVar("T")
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are. `base` is the path that stands before every file's, without a slash at its end."""

    upstream: Upstream
    base: str

    def __str__(self) -> str:
        return str(replace(self.upstream, path=self.base))


class Broken(Unavailable):
    """A line that broke off, or an answer that may be another one next time."""


class TooLarge(Invalid):
    """More comes than was allowed."""


class Changed(Invalid):
    """A file is not, or no longer, what its index says: the upstream may have changed under us, so look again."""


def place(known: Mapping[str, Upstream], settings: Settings, upstream: str, path: str = "") -> Place:
    """The place of a known upstream's name or of a URL, and a path below it. Raises Invalid."""
    if path and upstreams.clean(quote(path)) is None:
        fix = "Write it without dots, such as 9/BaseOS/x86_64/os."
        raise _bad("path", f"{path!r} is no path below an upstream.", fix)
    found = known.get(upstream)
    if found is None and "://" in upstream:
        parts = fetch.check_url(upstream, field="upstream")
        if parts.query or parts.fragment:
            raise _bad("upstream", "the URL has a query or a fragment.", "Write http://host/path.")
        found = upstreams.parse(parts.hostname or "", upstream, networks=tuple(settings.fetch_networks))
    if found is None:
        fix = f"Known are: {', '.join(sorted(known)) or 'none'}. Add it, or give the URL itself."
        raise _bad("upstream", f"there is no upstream {upstream[:63]!r}.", fix)
    return Place(found, f"{found.path}/{path}" if path else found.path)


class Answer:
    """A file that comes in. What goes wrong with the line is Broken; what the reader does wrong stays its own."""

    def __init__(self, response: http.client.HTTPResponse, name: str) -> None:
        self._response = response
        self._name = name

    @property
    def start(self) -> int | None:
        """The byte that it begins with; None where the server cannot go on from the one that was asked for."""
        if self._response.status == 200:
            return 0
        said = re.match(r"bytes (\d+)-", self._response.headers.get("Content-Range", ""))
        return int(said[1]) if said is not None and self._response.status == 206 else None

    @property
    def length(self) -> int | None:
        """How many bytes the server says are to come."""
        return self._response.length

    def read(self) -> bytes:
        """The next piece, or nothing at the end."""
        try:
            piece = self._response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"{self._name} broke off: {error!r}.", hint="Try again.") from error
        if not piece and self._response.length:
            raise Broken(f"{self._name} broke off, {self._response.length} bytes before its end.", hint="Try again.")
        return piece


class Line:
    """One connection to a place, for one thread; opened when it is needed, and anew when it broke."""

    def __init__(self, to: Place) -> None:
        self._place = to
        self._connection: http.client.HTTPConnection | None = None

    @contextmanager
    def get(self, path: str, *, start: int = 0) -> Iterator[Answer]:
        """The answer for a file below the place, from the byte `start` on where the server can.

        Raises NotFound where the file is not there, Broken where trying again may help.
        """
        response = self._ask(path, start)
        try:
            self._judge(response, path)
            yield Answer(response, f"{self._place}/{path}")
        except BaseException:
            self.close()
            raise
        if not response.isclosed():  # what was not read to its end is in the way of the next answer
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, path: str, start: int) -> http.client.HTTPResponse:
        kept = self._connection is not None
        try:
            return self._request(path, start)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not kept:
                raise Broken(
                    f"The mirror {self._place} does not answer: {error}.", hint="Is it up, and reachable?"
                ) from error
        try:
            return self._request(path, start)  # the server had hung up meanwhile
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Broken(
                f"The mirror {self._place} does not answer: {error}.", hint="Is it up, and reachable?"
            ) from error

    def _request(self, path: str, start: int) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = upstreams.connection(self._place.upstream)
        target = quote(f"{self._place.base}/{path}", safe="/+~:@!$&()*,;=")
        upstream = self._place.upstream
        headers = {"Host": upstream.authority, "User-Agent": upstreams.USER_AGENT, "Accept-Encoding": "identity"}
        if upstream.proxy and upstream.scheme == "http":
            target = f"http://{upstream.authority}{target}"
        if start:
            headers["Range"] = f"bytes={start}-"
        self._connection.request("GET", target, headers=headers)
        return self._connection.getresponse()

    def _judge(self, response: http.client.HTTPResponse, path: str) -> None:
        status = response.status
        if status in (200, 206, 416):
            return
        where = f"{self._place}/{path}"
        if status in (404, 410):
            raise NotFound(f"{where} is not there ({status}).", hint="Is it the right place, and the mirror complete?")
        if status in REDIRECTS:
            to = response.headers.get("Location", "elsewhere")[:200]
            raise Unavailable(f"{where} redirects to {to}.", hint="Name the place itself as the upstream.")
        if status in (401, 403):
            raise Unavailable(f"{where} is refused to us ({status}).", hint="Does the mirror allow this appliance?")
        raise Broken(f"{where} answers {status} {response.reason}.", hint="Try again later, or use another mirror.")


def patiently(work: Callable[[], T], *, pause: Callable[[float], None] = time.sleep) -> T:
    """Do it, and again after a pause where a line broke; raises what the last try raised."""
    for number in range(TRIES - 1):
        try:
            return work()
        except Broken:
            pause(PAUSE_S * 2**number)
    return work()


def small(
    line: Line,
    path: str,
    limit: int,
    *,
    pause: Callable[[float], None] = time.sleep,
    tell: Callable[[], None] = lambda: None,
) -> bytes:
    """A file that is read whole into memory: an index. Raises TooLarge where it is larger than `limit`.

    `tell` is called with each piece, and may raise to end it.
    """

    def once() -> bytes:
        give_up = time.monotonic() + deadline_s(limit)
        content = bytearray()
        with line.get(path) as answer:
            while piece := answer.read():
                tell()
                content += piece
                if len(content) > limit:
                    raise TooLarge(f"{path} is larger than {limit} bytes.", hint="Is this the right place?")
                if time.monotonic() > give_up:
                    raise Unavailable(f"{path} comes too slowly.", hint="Use another mirror.")
        return bytes(content)

    return patiently(once, pause=pause)


def deadline_s(size: int) -> float:
    """How long a file of so many bytes may take at all."""
    return LEAST_S + size / SLOWEST


def _bad(field: str, problem: str, fix: str) -> Invalid:
    return Invalid(f"{field}: {problem}", problems=[FieldProblem(field, problem, fix)], hint=fix)
