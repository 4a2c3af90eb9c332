"""gunicorn, started from code: threads for waiting clients, and no access log that could hold a token."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import queue
import re
import resource
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, PollableMethodQueue, TConn, ThreadWorker

from pxeapp import streams

Application = Callable[..., Any]  # as WSGI knows it
WORKERS = 2
THREADS = 16
GRACEFUL_STOP_S = 10

ARRIVES_WITHIN_S = 20.0  # a whole request, from its first byte on
STALL_S = 20  # how long a thread waits for the next bytes of a body too long to gather, or for a reader
HEAD_LIMIT = 32 * 1024
BODY_LIMIT = 1024 * 1024 + 64 * 1024  # what is longer is read by the thread that wants it
TRAILERS_LIMIT = 8 * 1024  # behind the last chunk; longer ones do not count as an end
HELD_LIMIT = 32 * 1024 * 1024  # of all requests that are being gathered, per worker
PARTING_S = 2.0  # how long a client may take to hang up after its last answer
PARTING_LIMIT = 200
DESCRIPTORS = 8192
PENDING_LIMIT = 900  # below gunicorn's worker_connections, so that there is always room for one more
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_LAST_CHUNK = re.compile(rb"0+[ \t]*(?:;.*)?")
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect[ \t]*:", re.IGNORECASE)
_LATE = f"The request did not come whole within {ARRIVES_WITHIN_S:g} s.\n".encode()
TOO_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_LATE), _LATE)
)
log = logging.getLogger(__name__)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn carries no types
    def __init__(self, make_app: Callable[[], Application], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
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
        here = len(gathered) - start > BODY_LIMIT or _ends_with_last_chunk(gathered, start)
        return Arrived(len(gathered), certain=False) if here else None
    found = _LENGTH.search(head)
    length = int(found[1]) if found else 0
    if length > BODY_LIMIT:
        return Arrived(len(gathered), certain=False)
    return Arrived(start + length, certain=True) if len(gathered) >= start + length else None


def _ends_with_last_chunk(gathered: bytearray, start: int) -> bool:
    """Whether what begins at `start` ends with a chunk of no bytes, and behind it only trailers (RFC 9112, 7.1.2)."""
    if not gathered.endswith(b"\r\n\r\n", start):
        return False
    since = max(start, len(gathered) - TRAILERS_LIMIT)
    _, empty, lines = bytes(gathered[since:-4]).rpartition(b"\r\n\r\n")  # an empty line would end the trailers
    whole = lines.split(b"\r\n")
    if not empty and since > start:
        whole = whole[1:]  # the first is the end of a line
    return any(map(_LAST_CHUNK.fullmatch, whole))


def _received(sock: socket.socket) -> bytes | None:
    """What came in on a socket; nothing when the client is gone, None when there is nothing yet."""
    try:
        return sock.recv(64 * 1024)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class _Threads:
    """Threads that take whatever is ready. A future for each request, as gthread makes them, costs more than this."""

    def __init__(self, number: int, work: Callable[[Any], None]) -> None:
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._work = work
        for each in range(number):
            threading.Thread(target=self._run, name=f"request-{each}", daemon=True).start()

    def put(self, conn: Any) -> None:
        """Whichever is free does the work."""
        self._ready.put(conn)

    def shutdown(self, *, wait: bool = False) -> None:  # noqa: ARG002 - as gthread calls it
        """Nothing more is taken; what is under way ends with the process."""
        while not self._ready.empty():
            with contextlib.suppress(queue.Empty):
                self._ready.get_nowait()

    def _run(self) -> None:
        while True:
            self._work(self._ready.get())


class _Calls(PollableMethodQueue):  # type: ignore[misc]
    """What threads want done in the loop; one byte wakes it for as many calls as there are by then."""

    def __init__(self) -> None:
        super().__init__()
        self._woken = False

    def defer(self, callback: Callable[..., None], *args: Any) -> None:
        """Have this called in the loop."""
        self._queue.put((callback, args))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):
                os.write(self._write_fd, b"\0")

    def run_callbacks(self, _fileobj: Any, max_callbacks: int = 64) -> None:
        """In the loop. Whoever adds one after the flag is down wakes us again."""
        with contextlib.suppress(OSError):
            os.read(self._read_fd, max_callbacks)
        self._woken = False
        with contextlib.suppress(queue.Empty):
            while True:
                callback, args = self._queue.get_nowait()
                callback(*args)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's gthread, but a request gets a thread only once all of it is here.

    gthread reads heads and bodies in its threads for as long as a client likes, so that a few dozen clients that
    trickle stop it for everybody. Here they are gathered in the loop and cost a connection, for a while.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method_queue = _Calls()
        self.parting: deque[Any] = deque()

    def init_process(self) -> None:
        """After the fork. Settings do not change any more: they need not be searched for, twenty times a request."""
        self.cfg.__dict__.update((name, setting.get()) for name, setting in self.cfg.settings.items())
        super().init_process()

    def get_thread_pool(self) -> _Threads:
        """Ours."""
        return _Threads(self.cfg.threads, self._serve)

    def enqueue_req(self, conn: Any) -> None:
        """To a thread."""
        self.tpool.put(conn)

    def _serve(self, conn: Any) -> None:
        """In a thread."""
        kept: bool | streams.HandedOver = False
        try:
            kept = self.handle(conn)
        except Exception:
            log.exception("A request was not answered")
        finally:
            self.method_queue.defer(self.finish_request, conn, kept)

    def finish_request(self, conn: Any, kept: bool | streams.HandedOver) -> None:  # noqa: FBT001 - as gthread calls it
        """In the loop: wait for the next request of this connection, or close it.

        A stream's socket goes to the thread that carries them all, and is no connection of ours now.
        """
        if isinstance(kept, streams.HandedOver):
            self.nr_conns -= 1
            streams.the_carrier().take(conn.sock, kept.stream, chunked=kept.chunked)
            return
        if not kept:
            self._part(conn)
            return
        if conn.parser.unreader.buf.getvalue():  # the next one is here already
            self.enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + (self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, functools.partial(self.on_client_socket_readable, conn))

    def _part(self, conn: Any) -> None:
        """The client has its answer, but might lose the end of it if we close while it still sends.

        So its bytes are thrown away for a moment. gunicorn does that here in the loop, where one client that does not
        hang up holds up everybody.
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, functools.partial(self._throw_away, conn))
        except (OSError, ValueError):
            self.nr_conns -= 1
            conn.close()
            return
        conn.timeout = time.monotonic() + PARTING_S
        self.parting.append(conn)

    def _throw_away(self, conn: Any, sock: socket.socket) -> None:
        if _received(sock) == b"":
            self.parting.remove(conn)
            self._forget(conn)

    def _forget(self, conn: Any) -> None:
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

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
        """Give up what takes too long, drop what holds too much, and at the end what has not even begun."""
        while self.pending_conns and self.pending_conns[0].timeout <= time.monotonic():
            self._give_up(self.pending_conns[0])
        while self.parting and (self.parting[0].timeout <= time.monotonic() or len(self.parting) > PARTING_LIMIT):
            self._forget(self.parting.popleft())
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

    def _give_up(self, conn: Any) -> None:
        """Its time is over; who has begun to ask is told so."""
        if not conn.gathered:
            self._drop(conn)
            return
        self.pending_conns.remove(conn)
        self.poller.unregister(conn.sock)
        with contextlib.suppress(OSError):
            conn.sock.send(TOO_LATE)
        self._part(conn)

    def _drop(self, conn: Any) -> None:
        self.pending_conns.remove(conn)
        self._forget(conn)


def _more_descriptors() -> None:
    """A stream costs a descriptor and nothing else; the usual soft limit of 1024 is below what one process carries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(make_app: Callable[[], Application], *, bind: str, workers: int = WORKERS, threads: int = THREADS) -> None:
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
