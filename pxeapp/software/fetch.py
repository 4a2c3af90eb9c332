"""Download one file from a URL that an operator wrote: bounded, pinned, verified, atomic.

Pinned: see pinned.py. Redirects are followed on the same host only. The file appears under its name only when its
SHA-256 is right.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

from netaddr import IPNetwork

from pxeapp import pinned
from pxeapp.errors import FieldProblem, Invalid, Unavailable
from pxeapp.software.content.store import Incoming

SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_REDIRECTS = 3
CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one download may cost: bytes, seconds of silence, seconds in all."""

    max_bytes: int = 8 * 1024**3
    timeout_s: float = 30.0
    deadline_s: float = 3600.0


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str,
    networks: Sequence[IPNetwork] = (),
    limits: Limits = Limits(),
    progress: Callable[[int], None] = lambda _received: None,
) -> int:
    """Download `url` to `target` and return its size; `target` is not there unless its SHA-256 is right.

    `networks` are the only ones that may be contacted; empty means any but `pinned.NEVER`. Raises Invalid when the
    URL or what it gives is wrong, Unavailable when the server cannot be reached.
    """
    if not SHA256.fullmatch(sha256):
        raise _bad("sha256", "a SHA-256 checksum is required.", "Give its 64 hexadecimal digits in lower case.")
    partial = target.with_name(f".{target.name}.part")
    try:
        with _open(url, networks, limits) as response:
            size, found = _receive(response, partial, url, limits, progress)
        if found != sha256:
            raise _bad(
                "sha256",
                f"{url} has SHA-256 {found}, not {sha256}; it was thrown away.",
                "Compare with the publisher's signed checksums.",
            )
        partial.replace(target)
        return size
    finally:
        partial.unlink(missing_ok=True)


def resume(
    url: str,
    incoming: Incoming,
    *,
    networks: Sequence[IPNetwork] = (),
    limits: Limits = Limits(),
    progress: Callable[[int, int], None] = lambda _received, _total: None,
) -> None:
    """Download what is missing of `url` behind what has come in; the store compares the whole with its SHA-256.

    A server that cannot go on from there, or has another file by now, is asked for all of it. Raises as `fetch`.
    """
    with _open(url, networks, limits, start=incoming.received) as response:
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here already
        goes_on = f"bytes {incoming.received}-"
        if response.status != HTTPStatus.PARTIAL_CONTENT or not _range(response).startswith(goes_on):
            incoming.restart()
        total = incoming.received + response.length if response.length is not None else 0

        def write(chunk: bytes) -> None:
            incoming.write(chunk)
            progress(incoming.received, total)

        _pour(response, write, url, limits, before=incoming.received)


def check_url(url: str, *, field: str = "url") -> SplitResult:
    """The URL's parts, when it is plain http or https without credentials; raises Invalid otherwise."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _bad(field, f"{url!r} is not a URL.", "Write http://host/path or https://host/path.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\x00-\x20\x7f]", url) or port == 0:
        raise _bad(field, f"{url!r} is not an http or https URL.", "Write http://host/path or https://host/path.")
    if parts.username is not None:
        raise _bad(field, "the URL holds a user name or password.", "Use a server that needs none.")
    return parts


def _range(response: http.client.HTTPResponse) -> str:
    return response.headers.get("Content-Range", "").strip().lower()


@contextmanager
def _open(
    url: str, networks: Sequence[IPNetwork], limits: Limits, *, start: int = 0
) -> Iterator[http.client.HTTPResponse]:
    """The answer; with a `start` perhaps to what is asked for from there on, which its status then says."""
    first = check_url(url)
    headers = {"User-Agent": "pxeapp", "Accept-Encoding": "identity"}
    good = [HTTPStatus.OK]
    if start:
        headers["Range"] = f"bytes={start}-"
        good += [HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE]
    for _ in range(MAX_REDIRECTS + 1):
        parts = check_url(url)
        connection = _connect(parts, networks, limits.timeout_s)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            if response.status in (301, 302, 303, 307, 308):
                url = urljoin(url, response.headers.get("Location", ""))
                if urlsplit(url).hostname != first.hostname:
                    raise _bad(
                        "url", f"{first.hostname} redirects to another host: {url}.", "Give the final address itself."
                    )
                continue
            if response.status not in good:
                raise _bad("url", f"{url} answers {response.status} {response.reason}.", "Check the address.")
            yield response
            return  # noqa: TRY300 - the loop goes on after a redirect only
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: it redirects to what is no URL
            raise Unavailable(
                f"{url} could not be fetched: {error!r}.", hint="Try again, or fetch it by hand."
            ) from error
        finally:
            connection.close()
    raise _bad("url", f"{first.geturl()} redirects more than {MAX_REDIRECTS} times.", "Give the final address itself.")


def _connect(parts: SplitResult, networks: Sequence[IPNetwork], timeout_s: float) -> pinned.Connection:
    addresses = pinned.resolve(parts, hint="Check its spelling and the DNS.")
    address = pinned.first_allowed(addresses, networks)
    if address is None:
        raise _bad(
            "url",
            f"{parts.hostname} is {', '.join(addresses)}, which this appliance may not contact.",
            "Addresses of this host and link-local ones are refused; PXEAPP_FETCH_NETWORKS names what is allowed.",
        )
    return pinned.Connection(parts, address, timeout_s)


def _receive(
    response: http.client.HTTPResponse, target: Path, url: str, limits: Limits, progress: Callable[[int], None]
) -> tuple[int, str]:
    digest, received = hashlib.sha256(), 0
    with target.open("wb") as out:

        def write(chunk: bytes) -> None:
            nonlocal received
            received += len(chunk)
            digest.update(chunk)
            out.write(chunk)
            progress(received)

        _pour(response, write, url, limits)
        out.flush()
        os.fsync(out.fileno())
    return received, digest.hexdigest()


def _pour(
    response: http.client.HTTPResponse, write: Callable[[bytes], None], url: str, limits: Limits, *, before: int = 0
) -> None:
    """Hand on what the answer holds, within the limits; `before` are the bytes that are here already."""
    expected = response.length
    if expected is not None and before + expected > limits.max_bytes:
        raise _too_large(url, limits.max_bytes)
    received, give_up = 0, time.monotonic() + limits.deadline_s
    while chunk := response.read(CHUNK):
        received += len(chunk)
        if before + received > limits.max_bytes:
            raise _too_large(url, limits.max_bytes)
        if time.monotonic() > give_up:
            raise Unavailable(f"{url} took longer than {limits.deadline_s:.0f} s.", hint="Fetch it by hand.")
        write(chunk)
    if expected is not None and received != expected:
        raise Unavailable(f"{url} broke off after {before + received} of {before + expected} bytes.", hint="Try again.")


def _too_large(url: str, limit: int) -> Invalid:
    return _bad("url", f"{url} is larger than {limit} bytes.", "Check the address; install media are smaller.")


def _bad(field: str, problem: str, fix: str) -> Invalid:
    return Invalid(f"{field}: {problem}", problems=[FieldProblem(field, problem, fix)], hint=fix)
