"""gunicorn, started from code: threads for waiting clients, and no access log that could hold a token."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import re
import resource
import selectors
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import TConn, ThreadWorker

from pxeapp import streams

WORKERS = 2
THREADS = 16
GRACEFUL_STOP_S = 10

ARRIVES_WITHIN_S = 20.0  # a whole request, from its first byte on
STALL_S = 20  # how long a thread waits for the next bytes of a body too long to gather, or for a reader
HEAD_LIMIT = 32 * 1024
BODY_LIMIT = 1024 * 1024 + 64 * 1024  # what is longer is read by the thread that wants it
HELD_LIMIT = 32 * 1024 * 1024  # of all requests that are being gathered, per worker
DESCRIPTORS = 8192
PENDING_LIMIT = 900  # below gunicorn's worker_connections, so that there is always room for one more
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect[ \t]*:", re.IGNORECASE)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn carries no types
    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[[dict[str, Any], Any], Any]:
        """Called in each worker after the fork: no connection or key is shared across it."""
        app = self._make_app()
        # What is here now stays: looking through it for garbage, again and again, held up a request for 0.1 s at times.
        gc.collect()
        gc.freeze()

        def handing_over(environ: dict[str, Any], start_response: Any) -> Any:
            """The application, told that streams can be handed over here."""
            environ[streams.HANDOVER] = True
            return app(environ, start_response)

        return handing_over


class Arrived(NamedTuple):
    """A request that may have a thread: its bytes, and whether it is certain that it ends with them."""

    length: int
    certain: bool


def arrived(gathered: bytearray) -> Arrived | None:
    """How much of what came in is the first request, or None while that request is still arriving.

    Only its end is looked for; whether it is a good request is for the parser, which sees all of it.
    """
    end = gathered.find(b"\r\n\r\n")
    if end < 0:
        return None
    start, head = end + 4, bytes(gathered[: end + 2])
    if _CHUNKED.search(head):
        last = gathered.endswith(b"\r\n0\r\n\r\n", start) or gathered[start:] == b"0\r\n\r\n"
        return Arrived(len(gathered), certain=False) if last or len(gathered) - start > BODY_LIMIT else None
    found = _LENGTH.search(head)
    length = int(found[1]) if found else 0
    if length > BODY_LIMIT:
        return Arrived(len(gathered), certain=False)
    return Arrived(start + length, certain=True) if len(gathered) >= start + length else None


def _received(sock: socket.socket) -> bytes | None:
    """What came in on a socket; nothing when the client is gone, None when there is nothing yet."""
    try:
        return sock.recv(64 * 1024)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's gthread, but a request gets a thread only once all of it is here.

    gthread reads heads and bodies in its threads for as long as a client likes, so that a few dozen clients that
    trickle stop it for everybody. Here they are gathered in the loop and cost a connection, for a while.
    """

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; the longest waiting one makes room for it if need be."""
        try:
            sock, client = listener.accept()
        except OSError:
            return  # it went away, or there is no descriptor now
        self.nr_conns += 1
        patience = struct.pack("@ll", STALL_S, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        if len(self.pending_conns) >= PENDING_LIMIT:
            self._drop(self.pending_conns[0])
        self._gather(TConn(self.cfg, sock, client, listener.getsockname()))

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """The next request on a connection that was kept alive."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._gather(conn)

    def murder_pending(self) -> None:
        """Drop what takes too long, what holds too much, and at the end what has not even begun."""
        super().murder_pending()
        while sum(len(conn.gathered) for conn in self.pending_conns) > HELD_LIMIT:
            self._drop(max(self.pending_conns, key=lambda conn: len(conn.gathered)))
        if not self.alive:
            for conn in [conn for conn in self.pending_conns if not conn.gathered]:
                self._drop(conn)

    def handle(self, conn: Any) -> Any:
        """In a thread: answer the request; the last one when its end was not certain, or another follows unasked."""
        try:
            kept = super().handle(conn)
        except streams.HandedOver as over:
            return over
        return False if conn.is_last else kept

    def finish_request(self, conn: Any, fs: Any) -> None:
        """In the loop: a stream's socket goes to the thread that carries them all, and is no connection of ours now."""
        over = None if fs.cancelled() or fs.exception() else fs.result()
        if not isinstance(over, streams.HandedOver):
            super().finish_request(conn, fs)
            return
        self.nr_conns -= 1
        streams.the_carrier().take(conn.sock, over.stream, chunked=over.chunked)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: streams end now, requests may finish."""
        super().handle_exit(sig, frame)
        streams.stop()

    def run(self) -> None:
        """The loop, and at its end the last words of all streams."""
        super().run()
        streams.stop()
        streams.join()

    def _gather(self, conn: Any) -> None:
        conn.gathered = bytearray()
        conn.sock.setblocking(False)
        # Most requests are here, whole, by the time we hear of them: those need no place among the waiting.
        piece = _received(conn.sock)
        if piece and (request := arrived(gathered := bytearray(piece))) is not None:
            conn.gathered = gathered
            self._hand_on(conn, request)
            return
        conn.timeout = time.monotonic() + ARRIVES_WITHIN_S
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, functools.partial(self._more, conn))
        if piece is not None:
            self._take(conn, piece)

    def _more(self, conn: Any, sock: socket.socket) -> None:
        piece = _received(sock)
        if piece is not None:
            self._take(conn, piece)

    def _take(self, conn: Any, piece: bytes) -> None:
        conn.gathered += piece
        request = arrived(conn.gathered)
        if not piece or (request is None and len(conn.gathered) > HEAD_LIMIT and b"\r\n\r\n" not in conn.gathered):
            self._drop(conn)
        elif request is None:
            self._encourage(conn)
        else:
            self.poller.unregister(conn.sock)
            self.pending_conns.remove(conn)
            self._hand_on(conn, request)

    def _hand_on(self, conn: Any, request: Arrived) -> None:
        """To a thread."""
        conn.is_last = not request.certain or request.length < len(conn.gathered)
        conn.init()
        conn.parser.unreader.unread(bytes(conn.gathered[: request.length]))
        conn.data_ready = True
        self.enqueue_req(conn)

    @staticmethod
    def _encourage(conn: Any) -> None:
        """A client that waits for `100 Continue` before it sends its body would wait for ever."""
        end = conn.gathered.find(b"\r\n\r\n")
        if end >= 0 and (found := _EXPECT.search(conn.gathered, 0, end)):
            conn.gathered[found.start() : found.end()] = b"\r\nx-expect:"
            with contextlib.suppress(OSError):
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _drop(self, conn: Any) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()


def _more_descriptors() -> None:
    """A stream costs a descriptor and nothing else; the usual soft limit of 1024 is below what one process carries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(make_app: Callable[[], Flask], *, bind: str, workers: int = WORKERS, threads: int = THREADS) -> None:
    """Serve until SIGTERM. `bind` is HOST:PORT or unix:PATH. Does not return."""
    _more_descriptors()
    if bind.startswith("unix:"):
        os.makedirs(os.path.dirname(bind.removeprefix("unix:")), exist_ok=True)  # noqa: PTH103, PTH120 - gunicorn's spelling
    _Server(
        make_app,
        {
            "bind": bind,
            "workers": workers,
            "worker_class": PatientWorker,
            "threads": threads,
            "graceful_timeout": GRACEFUL_STOP_S,
            "timeout": 60,
            "keepalive": 5,
            "loglevel": "warning",
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108, PTH112 - no disk wait in the heartbeat
            "forwarded_allow_ips": "",
            "proc_name": "pxeapp",
            "umask": 0o077,
        },
    ).run()
