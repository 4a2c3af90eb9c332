"""A 60 MB initrd through the front, beside a bare nginx; and what slow downloads do to everybody else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from sqlalchemy import select

from pxeapp.software.front import process as front
from pxeapp.software.models import Release
from tests.bench.rounds import Contender, Figures, Target, Work, quantile, timed
from tests.bench.serving import load, plain
from tests.bench.serving.appliance import ADDRESS, RELEASE, Appliance, Processes
from tests.bench.serving.plain import Plain

INITRD_MB = 60
CLIENTS = 8
SLOW = 200
SLOW_PIECE, SLOW_EVERY_S = 16 * 1024, 0.5  # 32 kB/s each: a worn cable, or forty racks on one uplink
PIECE = 1024 * 1024


def works(*, quick: bool) -> list[Work]:
    """The initrd beside nginx, and the latency of callbacks and pages beside slow downloads."""
    files = _Files(downloads=16 if quick else 200)
    slow = _Slow(seconds=5 if quick else 30)
    return [
        Work(
            name="initrd",
            title="A 60 MB initrd by HTTP",
            contenders=[Contender("pxeapp", files.ours), Contender("nginx", files.theirs)],
            targets=[Target("CPU ms", at_most=1.2, against="nginx", says="CPU within 1.2 x nginx")],
            rounds=3 if quick else 7,
            prepared=files.prepared,
            notes=[
                f"{files.downloads} downloads, {CLIENTS} at a time; the clients compare the SHA-256.",
                "Ours asks the database which file that is, and whether it is evidence; nginx hands out a path.",
            ],
        ),
        Work(
            name="slow-downloads",
            title=f"{SLOW} slow downloads at once: what callbacks and pages feel of it",
            contenders=[Contender("pxeapp", slow.beside), Contender("without downloads", slow.alone)],
            targets=[
                Target("callback max ms", at_most=500, says="no callback waits longer than 500 ms"),
                Target("page max ms", at_most=500, says="no page waits longer than 500 ms"),
            ],
            rounds=1 if quick else 3,
            prepared=slow.prepared,
            notes=[
                f"Each of {SLOW} clients takes {SLOW_PIECE // 1024} kB of the initrd every {SLOW_EVERY_S} s.",
                "Meanwhile ten callbacks and five pages of a list of 1,000 machines a second; all of `pxeapp serve`.",
            ],
        ),
    ]


class _Files:
    def __init__(self, *, downloads: int) -> None:
        self.downloads = downloads
        self._appliance: Appliance
        self._processes: Processes
        self._nginx: Plain
        self._path = ""
        self._digest = ""

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Both servers over the same file."""
        with ExitStack() as stack:
            self._appliance = Appliance(machines=10, deploying=10, initrd_mb=INITRD_MB)
            stack.callback(self._appliance.close)
            self._path, self._digest = initrd_of(self._appliance)
            self._processes = stack.enter_context(self._appliance.node())
            self._nginx = stack.enter_context(
                plain.nginx(self._appliance.settings.media_dir, ready=self._path, workers=front.WORKERS)
            )
            yield

    def ours(self) -> Figures:
        """Through the front and the node application."""
        return self._download(self._appliance.node_port, f"/media{self._path}", self._processes.cpu_s)

    def theirs(self) -> Figures:
        """A plain nginx on the same path."""
        return self._download(self._nginx.port, self._path, self._nginx.server.cpu_s)

    def _download(self, port: int, path: str, cpu_s: Callable[[], float]) -> Figures:
        before = cpu_s()
        with timed() as wall, ThreadPoolExecutor(CLIENTS) as pool:
            digests = list(pool.map(lambda _: _fetch(port, path), range(self.downloads)))
        used = cpu_s() - before
        assert set(digests) == {self._digest}, "a client received something else"
        return {
            "CPU ms": used / self.downloads * 1000,
            "MB/s": self.downloads * INITRD_MB / wall[0],
        }


def _fetch(port: int, path: str) -> str:
    with socket.create_connection((ADDRESS, port), timeout=60) as sock:
        sock.sendall(load.get(path).replace(b"Accept:", b"Connection: close\r\nAccept:"))
        digest, head, buffer = hashlib.sha256(), b"", bytearray(PIECE)
        while b"\r\n\r\n" not in head:
            head += sock.recv(PIECE)
        digest.update(head.partition(b"\r\n\r\n")[2])
        while count := sock.recv_into(buffer):
            digest.update(memoryview(buffer)[:count])
    return digest.hexdigest()


def initrd_of(appliance: Appliance) -> tuple[str, str]:
    """Its path below /media, and its SHA-256."""
    with appliance.database.read() as session:
        row = session.scalars(select(Release).where(Release.name == RELEASE)).one()
        return f"/{row.name}/{row.initrd}", row.initrd_sha256


class _Slow:
    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._appliance: Appliance
        self._processes: Processes
        self._token = ""

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """All of the appliance."""
        with ExitStack() as stack:
            self._appliance = Appliance(machines=1000, deploying=300, initrd_mb=INITRD_MB)
            stack.callback(self._appliance.close)
            self._appliance.begin_anew()
            self._token = self._appliance.operators_token()
            self._processes = stack.enter_context(self._appliance.whole())
            self._measure(3)  # every process has done everything once
            yield

    def alone(self) -> Figures:
        """The same without downloads, to compare with."""
        return self._measure(self._seconds)

    def beside(self) -> Figures:
        """With all downloads under way."""
        path, _ = initrd_of(self._appliance)
        stop = threading.Event()
        with ExitStack() as stack:
            socks = []
            for _ in range(SLOW):
                sock = stack.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
                sock.settimeout(30)
                sock.connect((ADDRESS, self._appliance.node_port))
                sock.sendall(load.get(f"/media{path}"))
                socks.append(sock)
            reader = threading.Thread(target=_trickle, args=(socks, stop))
            reader.start()
            try:
                figures = dict(self._measure(self._seconds))
            finally:
                stop.set()
                reader.join()
            for sock in socks:
                assert sock.recv(1), "a slow download was cut off"
            return {**figures, "downloads": len(socks)}

    def _measure(self, seconds: float) -> Figures:
        body = json.dumps({"event": "progress", "message": "Installing packages"}).encode()
        posts = [load.post(f"/c/{attempt.callback}/events", body) for attempt in self._appliance.attempts]
        page = load.get("/", token=self._token)
        with ThreadPoolExecutor(2) as pool:
            reports = pool.submit(_steadily, self._appliance.node_port, posts, 0.1, seconds)
            pages = pool.submit(_steadily, self._appliance.web_port, [page], 0.2, seconds)
            figures: dict[str, float] = {}
            for name, waits in (("callback", reports.result()), ("page", pages.result())):
                for share, said in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
                    figures[f"{name} {said} ms"] = quantile(waits, share) * 1000
        return figures


def _steadily(port: int, requests: list[bytes], every_s: float, seconds: float) -> list[float]:
    """One request after the other at a steady pace; how long each took."""
    waits = []
    began = time.monotonic()
    for number in range(int(seconds / every_s)):
        time.sleep(max(0.0, began + number * every_s - time.monotonic()))
        (reply,) = load.storm((ADDRESS, port), [requests[number % len(requests)]], clients=1)
        assert reply.status == 200, f"port {port} answered {reply.status}"
        waits.append(reply.seconds)
    return waits


def _trickle(socks: list[socket.socket], stop: threading.Event) -> None:
    while not stop.wait(SLOW_EVERY_S):
        for sock in socks:
            with contextlib.suppress(TimeoutError, BlockingIOError):
                sock.recv(SLOW_PIECE, socket.MSG_DONTWAIT)
