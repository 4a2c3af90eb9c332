"""Settings in a temporary directory, and a small upstream HTTP server that counts what it is asked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pxeapp import config
from pxeapp.config import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings as a test machine has them: everything below a temporary directory, downloads from loopback only."""
    return config.load(
        {
            "PXEAPP_DATA_DIR": str(tmp_path / "data"),
            "PXEAPP_FETCH_NETWORKS": "127.0.0.0/8",
            "PXEAPP_MIRROR_UPSTREAMS": "debian=http://mirror.example/debian",
        }
    )


@dataclass
class Reply:
    """What the upstream answers for one path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    etag: str = ""


class UpstreamServer(ThreadingHTTPServer):
    """Answers from `replies`, counts requests in `asked`, and keeps the last headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: dict[str, Reply] = {}
        self.asked: Counter[str] = Counter()
        self.last_headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: UpstreamServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.server.last_headers = dict(self.headers)
        reply = self.server.replies.get(self.path, Reply(b"no such file\n", 404))
        time.sleep(reply.delay_s)
        if reply.etag and self.headers.get("If-None-Match") == reply.etag:
            reply = Reply(status=304)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.etag:
            self.send_header("ETag", reply.etag)
        if "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(reply.body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[UpstreamServer]:
    """A running upstream on loopback."""
    server = UpstreamServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
