"""The real `pxeapp node --direct` under gunicorn: slow and odd connections beside an honest installer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp.provisioning import node_logs, tokens
from pxeapp.provisioning.models import Deployment, NodeLog
from pxeapp.provisioning.steps import Step
from tests.provisioning.rack import Rack, built

pytestmark = pytest.mark.network
TRICKLERS = 50


@dataclass
class Node:
    """The process, and the place where node1's installer reports."""

    port: int
    callback: str
    rack: Rack
    number: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """As a power cut would, but for its children: they see that their parent is gone."""
        self.process.kill()
        self.process.wait(30)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def request(self, method: str, path: str, body: object = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body).encode())
            reply = connection.getresponse()
            reply.read()
            return reply.status
        finally:
            connection.close()

    def report(self, event: str) -> int:
        return self.request("POST", f"{self.callback}/events", {"event": event})

    def log(self, name: str) -> bytes | None:
        with self.rack.provisioner.database.read() as session:
            return session.scalar(select(NodeLog.content).where(NodeLog.name == name))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    with built(folder) as rack, running(rack, folder / "node.log") as found:
        yield found


@contextlib.contextmanager
def running(rack: Rack, log: Path, *, number: int | None = None, port: int = 0) -> Iterator[Node]:
    """Start the process over this rack's data; what it says goes to this log. Without a number node1 is deployed."""
    if number is None:
        number = rack.deploy()
        rack.work(number)
    with rack.provisioner.database.read() as session:
        token = tokens.derive(rack.provisioner.vault, session.get_one(Deployment, number), tokens.CALLBACK)
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    environ = {
        "PXEAPP_DATA_DIR": str(rack.provisioner.settings.data_dir),
        "PXEAPP_NODE_URL": "http://10.77.0.1:8081",
        "PXEAPP_NODE_LISTEN": f"127.0.0.1:{port}",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pxeapp", "node", "--direct"],
            env={**os.environ, **environ},
            stdout=output,
            stderr=output,
        )
    try:
        found = Node(port, f"/c/{token}", rack, number, process)
        _wait_until_it_answers(found)
        yield found
    finally:
        process.terminate()
        process.wait(30)
    assert b"Traceback" not in log.read_bytes(), log.read_text()


def _wait_until_it_answers(node: Node) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if node.request("GET", "/healthz") == 200:
                return
        time.sleep(0.1)
    pytest.fail("pxeapp node did not answer within a minute")


def test_clients_that_do_not_hang_up_hold_up_nobody(node: Node) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            lingering = stack.enter_context(node.connect())
            lingering.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            said = b""
            while piece := lingering.recv(4096):
                said += piece
            assert said.endswith(b"\r\n\r\nok\n"), "each is answered, and told that this was all"
        assert node.request("GET", "/healthz") == 200


def test_connections_that_trickle_do_not_hold_up_an_installers_report(node: Node) -> None:
    beginnings = (
        b"",  # connects and says nothing
        b"POST /c/x/events HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST /c/x/events HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
        b"PUT %s/logs/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" % node.callback.encode(),
        b"PUT /c/x/logs/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n",
    )
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(node.connect()) for _ in range(TRICKLERS * len(beginnings))]
        for index, connection in enumerate(slow):
            connection.sendall(beginnings[index % len(beginnings)])
        for event in ("started", "progress", "installed"):
            for index, connection in enumerate(slow):
                if beginnings[index % len(beginnings)]:
                    connection.sendall(b"x")
            assert node.report(event) == 200
        assert node.rack.step(node.number) == Step.INSTALLED
        for connection in slow:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)  # none was refused: they were still hanging when the reports were answered


def test_curl_sends_a_log_from_a_pipe_as_installers_do(node: Node) -> None:
    curl = shutil.which("curl") or pytest.skip("curl is not installed")
    content = b"line\n" * 100_000
    for more in ([], ["-H", "Expect: 100-continue"]):
        url = f"http://127.0.0.1:{node.port}{node.callback}/logs/anaconda.log"
        done = subprocess.run([curl, "-sSf", "-T", "-", *more, url], input=content, check=False, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert node.log("anaconda.log") == content


def test_bodies_that_are_too_long_or_lie_about_their_length(node: Node, tmp_path: Path) -> None:
    curl = shutil.which("curl") or pytest.skip("curl is not installed")
    (tmp_path / "long").write_bytes(bytes(10_000_000))
    said = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--expect100-timeout", "20", "-T", str(tmp_path / "long")]
    url = f"http://127.0.0.1:{node.port}{node.callback}/logs/long"
    assert subprocess.run([curl, *said, url], check=False, capture_output=True).stdout == b"413"
    assert node.request("PUT", f"{node.callback}/logs/fits", bytes(node_logs.LIMIT)) == 201
    with node.connect() as liar:
        liar.sendall(b"PUT %s/logs/cut HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\nhalf" % node.callback.encode())
        liar.shutdown(socket.SHUT_WR)
        assert liar.recv(100) == b""
    assert (node.log("long"), node.log("cut")) == (None, None)
    assert node.report("started") == 200


NOISE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    b"A" * 100_000,
)


def test_noise_ends_its_own_connection_only(node: Node) -> None:
    for noise in NOISE:
        with node.connect() as odd, contextlib.suppress(OSError):  # it may be gone before we have said all
            odd.sendall(noise)
            odd.shutdown(socket.SHUT_WR)
            reply = odd.recv(1000)
            assert reply == b"" or reply.split()[1] in {b"400", b"404", b"405", b"414", b"431", b"501", b"505"}, noise
        assert node.report("started") == 200


def test_a_connection_is_kept_for_the_next_request_and_what_follows_unasked_is_not(node: Node) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    kept = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
    with contextlib.closing(kept):
        kept.request("GET", "/healthz")
        first = kept.sock
        for _ in range(3):
            assert kept.getresponse().read() == b"ok\n"
            kept.request("GET", "/healthz")
        assert kept.sock is first
    with node.connect() as pipelined:
        pipelined.sendall(get + get[:20])
        replies = b""
        while piece := pipelined.recv(4000):
            replies += piece
        assert replies.count(b"200 OK") == 1
