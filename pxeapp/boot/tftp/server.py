"""The loop: requests in, sessions in a dictionary by descriptor, timers in a heap. No packet may end it."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import queue
import resource
import select
import socket
import struct
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from netaddr import IPAddress, IPNetwork

from pxeapp.boot.tftp import packets
from pxeapp.boot.tftp.blocks import Cache, Unreadable
from pxeapp.boot.tftp.packets import BadRequest, Request
from pxeapp.boot.tftp.replies import Absent, Reply
from pxeapp.boot.tftp.session import Session
from pxeapp.errors import ConfigError

IP_PKTINFO = 8  # linux/in.h
LOOP_S = 1.0
DRAIN_S = 5.0  # at the end: how long running transfers may go on
RECEIVE_BUFFER = 4 * 1024 * 1024  # a rack that is switched on asks at once
RESOLVERS = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all together, may take."""

    sessions: int = 16_384
    sessions_per_client: int = 4_096  # behind a relay or in a test a whole rack has one address
    waiting: int = 4_096  # look-ups under way
    blksize: int = 65_464
    windowsize: int = 64
    resolve_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of one request. `outcome` is `done`, or a sentence."""

    client: str
    filename: str
    size: int
    seconds: float
    outcome: str

    @property
    def done(self) -> bool:
        """Whether the client acknowledged the last block."""
        return self.outcome == "done"


Resolve = Callable[[Request], Reply]
ResolveFast = Callable[[Request], Reply | None]


class TftpServer:
    """Serves what `resolve` says, to the given networks only; to everybody else it does not exist.

    `resolve_fast` runs in the loop and must not block; where it gives None, `resolve` runs in a small
    pool of threads. `on_event` is called from a thread of its own. A forged request gets at most a
    first packet four times over 7 seconds: what is sent bounds what can be reflected.
    """

    def __init__(
        self,
        address: tuple[str, int],
        networks: Sequence[IPNetwork],
        resolve: Resolve,
        *,
        resolve_fast: ResolveFast = lambda _request: None,
        on_event: Callable[[Transfer], None] = lambda _event: None,
        limits: Limits | None = None,
        gso: bool = True,
    ) -> None:
        self._networks = tuple(networks)
        self._resolve = resolve
        self._resolve_fast = resolve_fast
        self._on_event = on_event
        self._limits = limits or Limits()
        self._gso = gso
        self._cache = Cache()
        self._sessions: dict[int, Session] = {}
        self._half_open: dict[str, OrderedDict[int, None]] = {}
        self._per_client: Counter[str] = Counter()
        self._asking: dict[tuple[str, int], str] = {}
        self._timers: list[tuple[float, int, int, Session]] = []
        self._order = itertools.count()
        self._allowed: dict[str, bool] = {}
        self._resolved: queue.SimpleQueue[tuple[Request, str, Reply]] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Transfer | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="tftp-resolve")
        _raise_descriptor_limit()
        self._listener = _listen(address)
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(self._wake_reader, select.EPOLLIN)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; with port 0 in the wish, the port it got."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def running(self) -> int:
        """Transfers under way."""
        return len(self._sessions)

    def wake(self) -> None:
        """Make the loop look up, from any thread or signal handler."""
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_writer.send(b"!")

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`; then finish what runs for a few seconds."""
        teller = threading.Thread(target=self._tell, name="tftp-events", daemon=True)
        teller.start()
        while not stop.is_set():
            self._turn()
        self._epoll.unregister(self._listener)
        self._listener.close()
        deadline = time.monotonic() + DRAIN_S
        while self._sessions and time.monotonic() < deadline:
            self._turn()
        for session in list(self._sessions.values()):
            session.abort("the server stops")
            self._end(session)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._events.put(None)
        teller.join(DRAIN_S)
        self._epoll.close()

    def _turn(self) -> None:
        """One look at everything that is due; whatever goes wrong with one client stays with that client."""
        now = time.monotonic()
        wait = LOOP_S
        if self._timers:
            wait = min(wait, max(0.0, self._timers[0][0] - now))
        for descriptor, _ in self._epoll.poll(wait, 512):
            now = time.monotonic()
            session = self._sessions.get(descriptor)
            if session is not None:
                self._guarded(session, session.receive, now)
            elif descriptor == self._listener.fileno():
                self._requests(now)
            else:
                self._drain_wake()
        self._answers()
        self._due(time.monotonic())

    def _guarded(self, session: Session, work: Callable[[float], None], now: float) -> None:
        was_half_open = session.half_open
        try:
            work(now)
        except Exception:  # a bug met by one client must not end the boot of a rack
            log.exception("A transfer of %s to %s failed", session.request.filename, session.client[0])
            session.outcome = "our error"
        if session.outcome:
            self._end(session)
        elif was_half_open and not session.half_open:
            self._forget_half_open(session)

    def _requests(self, now: float) -> None:
        for _ in range(256):
            try:
                datagram, ancillary, _, sender = self._listener.recvmsg(2048, 128)
            except BlockingIOError:
                return
            except OSError:
                continue
            client = (str(sender[0]), int(sender[1]))
            if not self._may_ask(client[0]):
                continue
            try:
                self._request(datagram, client, _local_address(ancillary), now)
            except BadRequest as bad:
                self._refuse(client, bad)
            except Exception:  # the killer packet that nobody has thought of yet
                log.exception("A packet from %s could not be handled", client[0])

    def _request(self, datagram: bytes, client: tuple[str, int], local: str, now: float) -> None:
        if packets.opcode(datagram) not in (packets.RRQ, packets.WRQ):
            return  # an answer to an answer is how two servers talk for ever
        request = packets.parse_request(
            datagram, client, max_blksize=self._limits.blksize, max_window=self._limits.windowsize
        )
        if client in self._asking:
            return  # it repeats its request while we look it up, or while its transfer runs
        reply = self._resolve_fast(request)
        if reply is not None:
            self._start(request, local, reply, now)
            return
        if len(self._asking) >= self._limits.waiting + len(self._sessions):
            return
        self._asking[client] = local
        self._pool.submit(self._look_up, request, local, time.monotonic() + self._limits.resolve_s)

    def _look_up(self, request: Request, local: str, deadline: float) -> None:
        """In the pool: ask the policy; a request that waited too long for its turn is not looked up any more."""
        reply: Reply = Absent("looking it up took too long")
        try:
            if time.monotonic() < deadline:
                reply = self._resolve(request)
        except Exception as error:
            log.exception("Looking up %r failed", request.filename)
            reply = Absent(f"looking it up failed: {error}")
        self._resolved.put((request, local, reply))
        self.wake()

    def _answers(self) -> None:
        while True:
            try:
                request, local, reply = self._resolved.get_nowait()
            except queue.Empty:
                return
            self._asking.pop(request.client, None)
            try:
                self._start(request, local, reply, time.monotonic())
            except Exception:
                log.exception("A transfer to %s could not start", request.client[0])

    def _start(self, request: Request, local: str, reply: Reply, now: float) -> None:
        if isinstance(reply, Absent):
            self._absent(request, reply.reason)
            return
        try:
            content = self._cache.content(reply, blksize=request.blksize, netascii=request.mode == "netascii")
        except Unreadable as error:
            self._absent(request, str(error))
            return
        self._make_room(request.client[0])
        try:
            session = Session(_reply_socket(local), request, content, gso=self._gso)
        except OSError as error:
            content.close()
            log.warning("No socket for a transfer to %s: %s", request.client[0], error)
            return
        self._sessions[session.fileno()] = session
        self._asking[request.client] = local
        self._per_client[request.client[0]] += 1
        self._half_open.setdefault(request.client[0], OrderedDict())[session.fileno()] = None
        self._epoll.register(session.fileno(), select.EPOLLIN)
        session.start(now)
        self._arm(session)

    def _absent(self, request: Request, reason: str) -> None:
        log.info("%s asked for %r: %s", request.client[0], request.filename, reason)
        self._refuse(request.client, BadRequest(packets.NOT_FOUND, "File not found"))
        self._events.put(Transfer(request.client[0], request.filename, 0, 0.0, f"not found: {reason}"))

    def _refuse(self, client: tuple[str, int], bad: BadRequest) -> None:
        with contextlib.suppress(OSError):
            self._listener.sendto(packets.error(bad.code, bad.message), client)

    def _make_room(self, client: str) -> None:
        """At its limit a client loses its own oldest half-open transfer; at ours, whoever has most of them does."""
        if self._per_client[client] >= self._limits.sessions_per_client:
            self._evict(client)
        if len(self._sessions) >= self._limits.sessions and self._half_open:
            self._evict(max(self._half_open, key=lambda name: len(self._half_open[name])))

    def _evict(self, client: str) -> None:
        waiting = self._half_open.get(client)
        if waiting:
            session = self._sessions[next(iter(waiting))]
            session.outcome = "given up for a newer request"
            self._end(session)

    def _end(self, session: Session) -> None:
        descriptor = session.fileno()
        if self._sessions.pop(descriptor, None) is None:
            return
        self._forget_half_open(session)
        self._asking.pop(session.client, None)
        host = session.client[0]
        self._per_client[host] -= 1
        if self._per_client[host] <= 0:
            del self._per_client[host]
        with contextlib.suppress(OSError):
            self._epoll.unregister(descriptor)
        session.close()
        seconds = time.monotonic() - session.started
        self._events.put(Transfer(host, session.request.filename, session.size, seconds, session.outcome))

    def _forget_half_open(self, session: Session) -> None:
        waiting = self._half_open.get(session.client[0])
        if waiting is not None:
            waiting.pop(session.fileno(), None)
            if not waiting:
                del self._half_open[session.client[0]]

    def _arm(self, session: Session) -> None:
        heapq.heappush(self._timers, (session.due, next(self._order), session.fileno(), session))

    def _due(self, now: float) -> None:
        """Timers are lazy: one that comes early for a transfer that went on is set anew."""
        while self._timers and self._timers[0][0] <= now:
            _, _, descriptor, session = heapq.heappop(self._timers)
            if self._sessions.get(descriptor) is not session:
                continue
            if session.due <= now:
                self._guarded(session, session.timeout, now)
            if not session.outcome:
                self._arm(session)

    def _may_ask(self, address: str) -> bool:
        """Whether an address is in the provisioning networks; answered once per address, for a bounded number."""
        known = self._allowed.get(address)
        if known is None:
            if len(self._allowed) > 65_536:
                self._allowed.clear()
            known = any(IPAddress(address) in network for network in self._networks)
            self._allowed[address] = known
        return known

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            while self._wake_reader.recv(4096):
                pass

    def _tell(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._on_event(event)
            except Exception:
                log.exception("An event could not be kept: %s", event)


def _listen(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"TFTP cannot listen on {address[0]}:{address[1]}: {error.strerror}.",
            hint="Port 69 needs root or CAP_NET_BIND_SERVICE; another TFTP server may hold it (`ss -lunp`).",
        ) from error
    return sock


def _reply_socket(local: str) -> socket.socket:
    """A socket of its own port (TID) on the address that the client asked: firmware ignores answers from another."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.bind((local, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _local_address(ancillary: list[tuple[int, int, bytes]]) -> str:
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= 12:
            _, local, _ = struct.unpack("@i4s4s", data[:12])
            return socket.inet_ntoa(local)
    return "0.0.0.0"  # noqa: S104 - the kernel then chooses


def _raise_descriptor_limit() -> None:
    """Each transfer is a descriptor; the usual soft limit of 1,024 is a small rack."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
