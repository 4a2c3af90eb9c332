"""The mirror door: HTTP on a unix socket that relays reads to known upstreams, and to nothing else.

For an appliance without any route out, such as the one in the virtual rack's network namespace: a unix socket crosses
the namespace's border, no network does. A request is `GET /NAME/path`, and NAME must be one of the door's upstreams.
"""

from __future__ import annotations

import logging
import os
import socket
import socketserver
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from pxeapp.errors import Unavailable
from pxeapp.software import upstreams
from pxeapp.software.upstreams import Upstream

log = logging.getLogger(__name__)

ASKED = ("If-Modified-Since", "If-None-Match", "Range", "If-Range")
ANSWERED = (
    *("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges"),
    *("Last-Modified", "ETag", "Location", "Retry-After"),
)
CLIENT_TIMEOUT_S = 60.0
CHUNK = 256 * 1024


class Door(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A running door; `serve_forever()` relays, `shutdown()` ends that, `server_close()` removes the socket."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, path: Path, known: Mapping[str, Upstream]) -> None:
        self.known = dict(known)
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead(path)
        super().__init__(str(path), _Relay)

    def server_close(self) -> None:
        """Close and remove the socket."""
        super().server_close()
        self._path.unlink(missing_ok=True)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that goes away in the middle is no event."""
        log.debug("a client of the mirror door went away", exc_info=True)


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pxeapp-door"
    sys_version = ""
    timeout = CLIENT_TIMEOUT_S
    server: Door

    def do_GET(self) -> None:
        self._relay("GET")

    def do_HEAD(self) -> None:
        self._relay("HEAD")

    def _relay(self, method: str) -> None:
        name, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        upstream = self.server.known.get(name)
        path = upstreams.clean(rest)
        if upstream is None or path is None:
            known = ", ".join(self.server.known) or "none"
            self._say(404, f"This door leads to {known} only, and to plain paths below them.")
            return
        headers = {key: value for key in ASKED if (value := self.headers.get(key))}
        try:
            with upstreams.request(upstream, path, method=method, headers=headers) as response:
                self.send_response(response.status, response.reason)
                for key in ANSWERED:
                    if value := response.headers.get(key):
                        self.send_header(key, value)
                sized = response.headers.get("Content-Length") is not None or response.status in (204, 304)
                if method == "GET" and not sized:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                left = response.length
                while method == "GET" and (chunk := response.read(CHUNK)):
                    self.wfile.write(chunk)
                    left = None if left is None else left - len(chunk)
                if method == "GET" and left:
                    self.close_connection = True  # the upstream broke off; so do we, and nginx keeps nothing
        except Unavailable as error:
            self._say(502, str(error))

    def _say(self, status: int, sentence: str) -> None:
        body = (sentence + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def address_string(self) -> str:
        return "door"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        log.debug(format, *args)


def _remove_dead(path: Path) -> None:
    """Remove the socket of a door that is no more; one that answers is left, and binding then fails."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108 - a socket, not a file
        except OSError:
            return
