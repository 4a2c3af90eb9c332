"""The connection to a Redfish service: one request is sent once, its answer is bounded, its certificate is known.

sushy's own connector sends a POST again when the answer to it is lost, up to ten times, and a reset that is repeated
acts twice. BMCs show certificates that they have signed themselves: the first one that is seen is kept, and the
password goes to no other from then on.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from sushy import exceptions
from sushy.connector import Connector

from pxeapp.bmc.errors import BmcCertificateChanged, BmcConfused, BmcUnreachable

CONNECT_S = 5.0
ANSWER_S = 10.0
MOST_BYTES = 4 * 1024**2  # of one answer; an event log of a thousand entries has a tenth of it
CHUNK = 64 * 1024
# A service of DSP0266 6.3 sends nobody elsewhere but for a slash at the end.
REDIRECTS = (301, 302, 303, 307, 308)

Remember = Callable[[str], None]


class NotSent(Exception):
    """The request did not leave: nothing has happened to the machine."""


class Lost(Exception):
    """The request may have arrived; no answer to it came."""


class Link(Connector):
    """sushy's connector with another way to send. `certificate` is the SHA-256 of the one we know, or empty."""

    def __init__(
        self, address: str, port: int, username: str, password: str, *, certificate: str, remember: Remember
    ) -> None:
        host = f"[{address}]" if ":" in address else address
        super().__init__(f"https://{host}:{port}/", verify=False)  # type: ignore[no-untyped-call]
        self.where = f"{address}:{port}"
        self._address = address, port
        self._certificate = certificate
        self._remember = remember
        self._login = username, password
        self._until = 0.0
        self._ready = False
        self._token_at = ""  # of the session that was opened, where the service takes no password with each request
        self._session.trust_env = False  # no proxy and no .netrc between us and a BMC

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Everything that is asked in here ends in this time, or BmcUnreachable says that it did not."""
        self._until = time.monotonic() + seconds
        yield

    def get_json(self, path: str) -> dict[str, Any]:
        """A resource as it is; raises BmcConfused for what is no JSON object."""
        found = self.get(path).json()  # type: ignore[no-untyped-call]
        if not isinstance(found, dict):
            raise BmcConfused(self.where, f"{path[:80]} is no object")
        return found

    def hang_up(self) -> None:
        """End the session where one was opened; never raises."""
        try:
            if self._token_at:
                self._until = time.monotonic() + CONNECT_S
                self._op("DELETE", self._token_at)
        except Exception:  # noqa: BLE001, S110 - it ends by itself after a while
            pass
        finally:
            self._token_at = ""
            self.close()  # type: ignore[no-untyped-call]

    def _op(  # type: ignore[override]
        self, method: str, path: str = "", data: Any = None, headers: Any = None, **_more: Any
    ) -> requests.Response:
        """One request, and one only. Raises sushy's errors for refusals, NotSent and Lost for silence."""
        if not self._ready:
            self._meet()
        response = self._send(method, path, data, headers)
        if response.status_code == 401 and not self._token_at and "basic" not in _schemes(response):
            self._open_session()  # DSP0266 13.3.4: a service may take passwords for opening a session only
            response = self._send(method, path, data, headers)
        exceptions.raise_for_response(method, response.url, response)  # type: ignore[no-untyped-call]
        return response

    def _send(self, method: str, path: str, data: Any, headers: Any) -> requests.Response:
        url = urljoin(self._url, path)
        if urlsplit(url).netloc != urlsplit(self._url).netloc:
            raise BmcConfused(self.where, f"it names {urlsplit(url).netloc[:60]} as a part of itself")
        left = self._left()
        said = {"OData-Version": "4.0", "Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            response = self._session.request(
                method, url, json=data, headers={name: value for name, value in said.items() if value is not None},
                timeout=(min(CONNECT_S, left), min(ANSWER_S, left)), stream=True, allow_redirects=False,
                verify=False,  # by requests; the fingerprint is what is verified, see _Pinned
            )  # fmt: skip
            response._content = self._body(response)
        except requests.ConnectTimeout:
            raise NotSent from None
        except requests.ConnectionError as error:
            raise (NotSent if _never_left(error) else Lost) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            raise Lost from None
        finally:
            # sushy asks for `Connection: close`, since some BMCs choke on connections that stay. Until the BMC has
            # closed it urllib3 takes it for one that can be used again, and what is sent then is lost.
            self._session.close()
        if response.status_code in REDIRECTS:
            raise BmcConfused(self.where, f"it redirects to {response.headers.get('Location', '')[:80]!r}")
        return response

    def _body(self, response: requests.Response) -> bytes:
        """All of it, unless it is too long or comes too slowly."""
        body = bytearray()
        for chunk in response.iter_content(CHUNK):
            body += chunk
            if len(body) > MOST_BYTES:
                raise BmcConfused(self.where, f"an answer of more than {MOST_BYTES} bytes")
            self._left()
        return bytes(body)

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise Lost
        return left

    def _meet(self) -> None:
        """See whose certificate it is, before anything secret is said."""
        try:
            with (
                socket.create_connection(self._address, timeout=min(CONNECT_S, self._left())) as plain,
                _tls().wrap_socket(plain, server_hostname=self._address[0]) as secure,
            ):
                shown = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
        except ssl.SSLError as error:
            raise BmcConfused(self.where, f"no TLS: {error.reason}") from None
        except OSError:
            raise NotSent from None
        if self._certificate and shown != self._certificate:
            raise BmcCertificateChanged(self.where, shown)
        if not self._certificate:
            self._certificate = shown
            self._remember(shown)
        self._session.mount("https://", _Pinned(shown))
        self._session.auth = self._login
        self._ready = True

    def _open_session(self) -> None:
        username, password = self._login
        self._session.auth = None
        said = {"UserName": username, "Password": password}
        response = self._send("POST", "/redfish/v1/SessionService/Sessions", said, None)
        exceptions.raise_for_response("POST", response.url, response)  # type: ignore[no-untyped-call]
        self._token_at = response.headers.get("Location", "")
        self._session.headers["X-Auth-Token"] = response.headers.get("X-Auth-Token", "")


class _Pinned(HTTPAdapter):
    """Connects to whoever shows this certificate, whatever name and signer stand in it, and to nobody else."""

    def __init__(self, certificate: str) -> None:
        self._shown = certificate
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """With our context in place of what `verify` would choose."""
        super().init_poolmanager(*args, **more, ssl_context=_tls(), assert_fingerprint=self._shown)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The fingerprint is what is verified."""


def _tls() -> ssl.SSLContext:
    """For a certificate that is compared with the one we know instead of verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # BMCs of ten years ago sign with SHA-1 and short keys
    return context


def _schemes(response: requests.Response) -> str:
    return response.headers.get("WWW-Authenticate", "basic").lower()


def _never_left(error: requests.ConnectionError) -> bool:
    """Whether the connection was not even made."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.SSLError)


def unreachable(where: str, started: float) -> BmcUnreachable:
    """For either silence."""
    return BmcUnreachable(where, time.monotonic() - started)
