"""Answers that never end (events, a console), without a thread for each: one thread of the process carries all sockets.

How to use it, in a view:

    stream = Stream(owner=actor().label)         # raises TooManyStreams (429) when this account has too many
    stream.send(b"data: hello\\n\\n")              # from any thread, at any time; never blocks
    return answer(stream, request.environ)       # a Flask response

Then keep the stream where what comes is noticed (a list of subscribers, a recording's reader) and call `send` with each
chunk. `send` gives False once the stream is closed: by its client, because its client reads too slowly (it reconnects
and begins anew), by `close()`, or because the process ends. `on_close` is called then, once, in whichever thread
noticed; it must be quick. `pending` says how many bytes wait, for a source that can slow down.

`answer` gives the head of the response to gunicorn's thread; after that our worker (webserver.py) hands the socket to
the carrier and its thread is free. Under a development server or test client there is nobody to hand it to: the
response then iterates, in the thread that asked.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from pxeapp.errors import PxeError

log = logging.getLogger(__name__)
HANDOVER = "pxeapp.handover"  # set in the environ by a server that takes HandedOver
HEARTBEAT_S = 15.0  # below the shortest timeout that proxies have by default (30 s)
HEARTBEAT = b":\n\n"  # a comment of the event stream format
LIMIT = 256 * 1024  # of what waits for one client
PER_OWNER = 250  # in one process: tabs of one account
ALL = 2000  # in one process
LAST_WORDS_S = 2.0  # how long the carrier may take to say goodbye at the end of the process
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TooManyStreams(PxeError):
    """An account, or everybody together, holds as many streams open as one process carries."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Too many open streams"
    retryable = True


class HandedOver(BaseException):
    """Raised behind the first chunk: the socket is the carrier's from here on, and nobody else may write or close."""

    def __init__(self, stream: Stream, *, chunked: bool) -> None:
        super().__init__()
        self.stream = stream
        self.chunked = chunked


class Stream:
    """Chunks to one client."""

    def __init__(
        self,
        *,
        owner: str,
        heartbeat: bytes = HEARTBEAT,
        on_close: Callable[[], None] | None = None,
        carrier: Carrier | None = None,
    ) -> None:
        self.owner = owner
        self.heartbeat = heartbeat  # b"" sends none
        self.closed = False
        self.sent_at = time.monotonic()
        self._on_close = on_close
        self._waiting = bytearray()
        self._ready = threading.Condition()
        self._carrier = the_carrier() if carrier is None else carrier
        self._carrier.admit(self)

    @property
    def pending(self) -> int:
        """How many bytes wait for the client."""
        return len(self._waiting)

    def send(self, chunk: bytes) -> bool:
        """Queue a chunk; False when the stream is closed."""
        with self._ready:
            if self.closed:
                return False
            self._waiting += chunk
            slow = len(self._waiting) > LIMIT
            self._ready.notify_all()
        if slow:
            self.close()
            return False
        self._carrier.wake(self)
        return True

    def close(self) -> None:
        """End it, behind what is queued; safe to repeat."""
        with self._ready:
            if self.closed:
                return
            self.closed = True
            self._ready.notify_all()
        self._carrier.dismiss(self)
        if self._on_close is not None:
            self._on_close()

    def take(self, timeout_s: float = 0.0) -> bytes:
        """What is queued, waiting for it for a while; for whoever writes it to the client."""
        with self._ready:
            if not self._waiting and timeout_s and not self.closed:
                self._ready.wait(timeout_s)
            taken = bytes(self._waiting)
            self._waiting.clear()
        return taken


def answer(stream: Stream, environ: Mapping[str, Any], *, mimetype: str = "text/event-stream") -> Response:
    """The response that carries a stream. HEAD gets its head only."""
    if environ.get("REQUEST_METHOD") == "HEAD":
        stream.close()
        return Response(mimetype=mimetype)
    response = Response(_Body(stream, environ), mimetype=mimetype, direct_passthrough=True)
    response.headers["X-Accel-Buffering"] = "no"  # nginx would gather it
    return response


class _Body:
    """The response's body: a first chunk, then the handover, or everything where nobody takes it."""

    def __init__(self, stream: Stream, environ: Mapping[str, Any]) -> None:
        self._stream = stream
        self._hand_over = bool(environ.get(HANDOVER))
        self._chunked = environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
        self._begun = False
        self._handed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._begun:
            self._begun = True
            return self._stream.take() or self._stream.heartbeat or b"\n"
        if self._hand_over:
            self._handed = True
            raise HandedOver(self._stream, chunked=self._chunked)
        found = self._stream.take(HEARTBEAT_S)
        if not found and self._stream.closed:
            raise StopIteration
        return found or self._stream.heartbeat

    def close(self) -> None:
        """Called by the server when the request is over: also when its client was gone before the handover."""
        if not self._handed:
            self._stream.close()


class _Line:
    """One client's socket as the carrier sees it."""

    def __init__(self, sock: socket.socket, stream: Stream, *, chunked: bool) -> None:
        self.sock = sock
        self.stream = stream
        self.chunked = chunked
        self.out = bytearray()
        self.ended = False

    def gather(self) -> None:
        """Take what is queued, framed for the wire."""
        taken = self.stream.take()
        if taken:
            self.out += b"%x\r\n%b\r\n" % (len(taken), taken) if self.chunked else taken
        if self.stream.closed and not self.ended:
            self.ended = True
            self.out += b"0\r\n\r\n" if self.chunked else b""


def _part(line: _Line) -> None:
    """The end of an answer that nobody carries."""
    line.stream.close()
    line.gather()
    with contextlib.suppress(OSError):
        line.sock.send(line.out)
    with contextlib.suppress(OSError):
        line.sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        line.sock.close()


class Carrier:
    """The thread that writes all streams of a process, and notices who went away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Stream, _Line] = {}
        self._open: Counter[str] = Counter()
        self._dirty: set[Stream] = set()
        self._arriving: list[_Line] = []
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._over = False  # the goodbye has begun: nobody looks at who arrives now
        self._poller = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._poller.register(self._ear, selectors.EVENT_READ, None)

    def __len__(self) -> int:
        """How many streams are open."""
        return self._open.total()

    def admit(self, stream: Stream) -> None:
        """Count a stream, or raise TooManyStreams."""
        with self._lock:
            if self._stopping or self._open[stream.owner] >= PER_OWNER or self._open.total() >= ALL:
                raise TooManyStreams("Too many streams are open.", hint="Close some tabs, or try again in a while.")
            self._open[stream.owner] += 1

    def dismiss(self, stream: Stream) -> None:
        """It was closed: what is queued goes out still."""
        with self._lock:
            self._open[stream.owner] -= 1
            if self._open[stream.owner] <= 0:
                del self._open[stream.owner]
        self.wake(stream)

    def take(self, sock: socket.socket, stream: Stream, *, chunked: bool) -> None:
        """A socket whose response has begun, from now on ours to write and to close."""
        sock.setblocking(False)
        line = _Line(sock, stream, chunked=chunked)
        with self._lock:
            late = self._over
            if not late:
                self._arriving.append(line)
            if self._thread is None and not late:
                self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
                self._thread.start()
        if late:  # its head was being written while the process was told to end
            _part(line)
        self._ring()

    def wake(self, stream: Stream) -> None:
        """Something is queued, or it was closed."""
        with self._lock:
            self._dirty.add(stream)
            carried = self._thread is not None
            if not carried:
                self._dirty.clear()  # nothing has been handed over yet: whoever iterates has been told
        if carried:
            self._ring()

    def stop(self) -> None:
        """End every stream, from a signal handler too: it takes no lock. Clients reconnect, to another process."""
        self._stopping = True
        self._ring()

    def join(self) -> None:
        """Wait until all have been told, for a moment at most."""
        if self._thread is not None:
            self._thread.join(LAST_WORDS_S)

    def close(self) -> None:
        """Give the descriptors back, once its thread has ended."""
        self._poller.close()
        self._bell.close()
        self._ear.close()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full: it has been rung
            self._bell.send(b"!")

    def _run(self) -> None:
        beat_at = time.monotonic() + 1
        while not self._stopping:
            try:
                self._once(max(0.0, beat_at - time.monotonic()))
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + 1
                    self._beat()
            except Exception:
                log.exception("The carrier of streams stumbled; it goes on.")
        self._goodbye()

    def _once(self, timeout_s: float) -> None:
        for key, mask in self._poller.select(timeout_s):
            if key.data is None:
                with contextlib.suppress(OSError):
                    self._ear.recv(4096)
            elif mask & selectors.EVENT_READ and self._gone(key.data):
                self._drop(key.data)
            elif mask & selectors.EVENT_WRITE:
                self._write(key.data)
        with self._lock:
            arriving, self._arriving = self._arriving, []
            dirty, self._dirty = self._dirty, set()
        for line in arriving:
            self._lines[line.stream] = line
            self._poller.register(line.sock, selectors.EVENT_READ, line)
            self._write(line)
        for stream in dirty:
            if (found := self._lines.get(stream)) is not None:
                self._write(found)

    @staticmethod
    def _gone(line: _Line) -> bool:
        """What a client says behind its request is of no interest; that it hangs up is."""
        try:
            return not line.sock.recv(4096)
        except _WOULD_BLOCK:
            return False
        except OSError:
            return True

    def _write(self, line: _Line) -> None:
        line.gather()
        try:
            while line.out:
                sent = line.sock.send(line.out)
                del line.out[:sent]
                line.stream.sent_at = time.monotonic()
        except _WOULD_BLOCK:
            if len(line.out) > LIMIT:
                self._drop(line)
                return
        except OSError:
            self._drop(line)
            return
        if line.ended and not line.out:
            self._drop(line)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.out else 0)
        if self._poller.get_key(line.sock).events != wanted:
            self._poller.modify(line.sock, wanted, line)

    def _beat(self) -> None:
        """Keeps proxies from closing what is quiet, and finds clients that went away without a word."""
        limit = time.monotonic() - HEARTBEAT_S
        for line in list(self._lines.values()):
            if line.out and line.stream.sent_at < limit - HEARTBEAT_S:
                self._drop(line)  # it has taken nothing for half a minute
            elif line.stream.heartbeat and line.stream.sent_at < limit:
                line.stream.send(line.stream.heartbeat)

    def _drop(self, line: _Line) -> None:
        if self._lines.pop(line.stream, None) is None:
            return
        self._poller.unregister(line.sock)
        with contextlib.suppress(OSError):
            line.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            line.sock.close()
        line.stream.close()

    def _goodbye(self) -> None:
        """The end of each answer, as HTTP has it: a client that sees it reconnects at once."""
        with self._lock:
            self._over = True
        self._once(0.0)  # who has just arrived
        for line in list(self._lines.values()):
            line.stream.close()
            self._write(line)
            self._drop(line)


_lock = threading.Lock()
_carrier: Carrier | None = None


def the_carrier() -> Carrier:
    """The one of this process; made when it is first asked for, which is after gunicorn's fork."""
    global _carrier
    with _lock:
        if _carrier is None:
            _carrier = Carrier()
        return _carrier


def stop() -> None:
    """End all streams of this process, if it has any; safe in a signal handler."""
    if _carrier is not None:
        _carrier.stop()


def join() -> None:
    """Wait for the last words."""
    if _carrier is not None:
        _carrier.join()
