"""Indexes for nginx: asked over a unix socket, answered with where a file lies, which nginx then sends itself.

nginx asks `GET /NAME/path`. The answer is an X-Accel-Redirect into the shelf, or to the upstream's own file where no
set names the path, or a sentence. X-Pxeapp-Index says which, for the access log. Whatever an upstream that is switched
off here would be asked comes here, too, with X-Pxeapp-Offline: then the answer is that it is not in the cache.
"""

from __future__ import annotations

import logging
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pxeapp.software import upstreams
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.indexes.keeper import Answer, Keeper

INSIDE, PLAIN = "/_indexes", "/_plain"  # nginx's internal locations, see front/mirrors.py
IDLE_S = 90.0
STATUS = {"absent": 404, "offline": 504, "failed": 502}
log = logging.getLogger(__name__)


class Indexes:
    """The keepers of all upstreams, as the front has them now, and the server on a socket."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self.folder = folder
        self.keepers: dict[str, Keeper] = {}
        folder.mkdir(parents=True, exist_ok=True)
        socket.unlink(missing_ok=True)  # of a process that was killed: this one is the only front here
        self._server = _Server(str(socket), self)
        self._socket = socket
        self._thread = threading.Thread(target=self._server.serve_forever, name="indexes", daemon=True)
        self._thread.start()

    def follow(self, known: dict[str, Configured]) -> None:
        """Take what is configured by now; what lies on the shelves stays."""
        for name in set(self.keepers) - set(known):
            self.keepers.pop(name).close()
        for name, each in known.items():
            if name in self.keepers:
                self.keepers[name].known = each
            else:
                self.keepers[name] = Keeper(each, self.folder / name)

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._socket.unlink(missing_ok=True)
        for keeper in self.keepers.values():
            keeper.close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, path: str, indexes: Indexes) -> None:
        self.indexes = indexes
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """nginx closes connections that it needs no more."""
        log.debug("a request for an index ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pxeapp-indexes"
    sys_version = ""
    timeout = IDLE_S
    server: _Server

    def do_GET(self) -> None:
        name, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        if self.headers.get("X-Pxeapp-Offline"):
            self._say(504, "It is not in our cache.", "offline")
            return
        keeper, path = self.server.indexes.keepers.get(name), upstreams.clean(rest)
        if keeper is None or path is None:
            self._say(404, "There is no such file.", "absent")
            return
        self._give(name, path, keeper.answer(path, self.headers.get("X-Real-IP", "")))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _give(self, name: str, path: str, answer: Answer) -> None:
        if answer.what in STATUS:
            self._say(STATUS[answer.what], answer.sentence or "It cannot be had.", answer.what)
            return
        self.send_response(200)
        if answer.path is not None:
            inside = answer.path.relative_to(self.server.indexes.folder)
            self.send_header("X-Accel-Redirect", f"{INSIDE}/{inside}")
        else:
            self.send_header("X-Accel-Redirect", f"{PLAIN}/{name}/{quote(path)}")
        self.send_header("X-Pxeapp-Index", answer.what.upper())
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _say(self, status: int, sentence: str, what: str) -> None:
        body = f"{sentence}\n".encode()
        self.send_response(status)
        self.send_header("X-Pxeapp-Index", what.upper())
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def address_string(self) -> str:
        return "nginx"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        log.debug(format, *args)
