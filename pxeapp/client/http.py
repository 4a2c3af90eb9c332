"""An appliance elsewhere: its API over HTTP, with a token. The token goes to this one address and into no message."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from pxeapp import __version__
from pxeapp.client import Answer, Listening, Unreachable, refusal
from pxeapp.errors import PxeError

BASE = "/api/v1"
CONNECT_S = 10.0
ANSWER_S = 120.0  # a release whose files are hashed, a comparison of ten thousand machines
QUIET_S = 45.0  # of a stream, which is never silent for longer than 15 s
TRIES = 3
PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
MOST_BYTES = 256 * 1024 * 1024
CHUNK = 64 * 1024
AGAIN = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


class Bearer(AuthBase):
    """The token in its header; as an `auth` of requests, so that no .netrc takes its place."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add it."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Http:
    """A transport."""

    remote: ClassVar[bool] = True

    def __init__(self, url: str, token: str, *, ca_file: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self.host = urlsplit(url).netloc
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc decides where the token goes
        self._session.auth = Bearer(token) if token else None  # none yet: who signs in
        self._session.headers.update({"Accept": "application/json", "User-Agent": f"pxeapp/{__version__}"})
        self._session.verify = str(ca_file) if ca_file else True

    def send(
        self, method: str, path: str, query: Mapping[str, Any], body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """One request; asked again only where asking twice does nothing twice."""
        if method != "GET":
            headers = {**headers, "Idempotency-Key": str(uuid.uuid4())}
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES
            try:
                found = self._once(method, path, query, body, headers)
            except requests.RequestException as error:
                if last or isinstance(error, requests.exceptions.SSLError):
                    raise self._unreachable(error) from None
                time.sleep(PAUSE_S * attempt)
                continue
            pause = _pause(found)
            if last or pause is None:
                return found
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[bytes]:
        """A long answer, which is begun once."""
        try:
            with self._session.get(
                self._url + BASE + path, params=dict(query), headers=dict(headers), stream=True, allow_redirects=False,
                timeout=(CONNECT_S, QUIET_S),
            ) as found:  # fmt: skip
                if found.status_code != HTTPStatus.OK:
                    raise refusal(found.status_code, _bounded(found))
                # As it comes: iter_content would wait for a whole chunk of a stream that says a line a minute.
                while piece := found.raw.read1(CHUNK, decode_content=True):
                    yield piece
        # What is read past requests raises urllib3's own: a server that goes away in the middle, too long a silence.
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None

    @contextlib.contextmanager
    def listening(self, events: str) -> Iterator[Listening]:
        """The appliance's stream of changes, read by a thread; while it does not come, time."""
        heard = _Heard(self, events)
        heard.start()
        try:
            yield heard
        finally:
            heard.stop()

    def close(self) -> None:
        """Give its connections back."""
        self._session.close()

    def _once(
        self, method: str, path: str, query: Mapping[str, Any], body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        with self._session.request(
            method, self._url + BASE + path, params=dict(query), data=body, headers=dict(headers), stream=True,
            allow_redirects=False, timeout=(CONNECT_S, ANSWER_S),
        ) as found:  # fmt: skip
            return Answer(found.status_code, _bounded(found), dict(found.headers))

    def _unreachable(self, error: Exception) -> PxeError:
        """What went wrong, in a sentence."""
        if isinstance(error, requests.exceptions.SSLError):
            return Unreachable(
                f"{self.host} shows a certificate that is not trusted: {_reason(error)}.",
                hint="Log in with --ca-file, the certificate of the authority that signed it.",
            )
        if isinstance(error, requests.Timeout):
            return Unreachable(f"No answer from {self.host} in time.", hint="Try again, or look at its /healthz.")
        return Unreachable(
            f"{self.host} cannot be reached: {_reason(error)}.", hint="Check the address, and that it is running."
        )


class _Heard(threading.Thread):
    """Rings when a change comes in. What it cannot hear costs a moment, for whoever waits also looks by itself."""

    def __init__(self, transport: Http, events: str) -> None:
        super().__init__(name="events", daemon=True)  # it may hang in a read when the command is done
        self._transport = transport
        self._events = events
        self._bell = threading.Event()
        self._over = threading.Event()

    def wait(self, seconds: float) -> None:
        """Until a change comes, so many seconds at most."""
        self._bell.wait(seconds)
        self._bell.clear()

    def stop(self) -> None:
        """Listen no more."""
        self._over.set()

    def run(self) -> None:
        """Connect, listen, connect again."""
        while not self._over.is_set():
            with contextlib.suppress(PxeError):
                for piece in self._transport.stream("/events", {"events": self._events}, {}):
                    if self._over.is_set():
                        return
                    if b"data:" in piece:
                        self._bell.set()
            self._over.wait(PAUSE_S)


def _pause(found: Answer) -> float | None:
    """How long to wait before asking again; None: this is the answer."""
    if found.status not in AGAIN and found.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    said = found.headers.get("Retry-After", "")
    return min(float(said), LONGEST_PAUSE_S) if said.isascii() and said.isdigit() else PAUSE_S


def _bounded(found: requests.Response) -> bytes:
    whole = bytearray()
    for chunk in found.iter_content(CHUNK):
        whole += chunk
        if len(whole) > MOST_BYTES:
            raise requests.exceptions.ContentDecodingError(f"the answer is longer than {MOST_BYTES} bytes")
    return bytes(whole)


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words; never the request, whose headers hold the token."""
    inner: BaseException = error
    while (further := _within(inner)) is not None:
        inner = further
    if isinstance(inner, ssl.SSLCertVerificationError):
        return str(inner.verify_message)
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(inner).__name__


def _within(error: BaseException) -> BaseException | None:
    """What an error of requests or urllib3 was made of."""
    inside = (getattr(error, "reason", None), error.args[0] if error.args else None, error.__cause__)
    return next((each for each in inside if isinstance(each, BaseException)), None)
