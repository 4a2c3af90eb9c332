"""The loop: requests in, sessions in a dictionary by descriptor, a look at all of them now and then.

No packet may end it.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from netaddr import IPNetwork

from pxeapp.boot.tftp import packets, sockets
from pxeapp.boot.tftp.blocks import Cache, Unreadable
from pxeapp.boot.tftp.packets import BadRequest, Request
from pxeapp.boot.tftp.replies import Absent, Reply
from pxeapp.boot.tftp.session import Session

IDLE_S = 1.0
LOOK_S = 0.025  # how late a repetition may be
MEASURE_S = 0.5  # how often a round trip is measured: a closer look at one acknowledgement of each transfer
AT_ONCE = 512  # descriptors taken before whose patience has ended has its turn
REQUESTS_AT_ONCE = 32  # each costs as much as ten blocks of those who wait for theirs
DRAIN_S = 5.0  # at the end: how long running transfers may go on
OTHER_DESCRIPTORS = 256  # the database's, the log's, libraries'
EVENTS_AT_ONCE = 1_000
GATHER_S = 0.1  # machines that were switched on together end together: one look at the database for all of them
UNTOLD_LIMIT = 10_000  # events waiting to be kept, past which only finished transfers are added
RESOLVERS = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all together, may take."""

    sessions: int = 16_384
    sessions_per_client: int = 4_096  # behind a relay or in a test a whole rack has one address
    waiting: int = 4_096  # look-ups under way
    waiting_per_client: int = 512
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


Receive = Callable[[float], bool]
Resolve = Callable[[Request], Reply]
ResolveFast = Callable[[Request], Reply | None]


class TftpServer:
    """Serves what `resolve` says, to the given networks only; to everybody else it does not exist.

    `resolve_fast` runs in the loop and must not block; where it gives None, `resolve` runs in a small
    pool of threads. `on_events` is called from a thread of its own, with all that has ended since it
    was called last; `beat` by the loop, about once a second. A forged request gets at most a first packet
    four times over 7 seconds, however often it is repeated: what is sent bounds what can be reflected.
    """

    def __init__(
        self,
        address: tuple[str, int],
        networks: Sequence[IPNetwork],
        resolve: Resolve,
        *,
        resolve_fast: ResolveFast = lambda _request: None,
        on_events: Callable[[Sequence[Transfer]], None] = lambda _events: None,
        beat: Callable[[], None] = lambda: None,
        limits: Limits | None = None,
        gso: bool = True,
    ) -> None:
        # As numbers: every machine of a rack asks for the first time at the same moment.
        self._networks = [(int(network.netmask), int(network.network)) for network in networks if network.version == 4]
        self._resolve = resolve
        self._resolve_fast = resolve_fast
        self._on_events = on_events
        self._beat = beat
        self._beat_at = 0.0
        limits = limits or Limits()
        # A transfer takes its socket, the one for strangers and, of a large file, a descriptor of that.
        able = max(64, (sockets.raise_descriptor_limit() - OTHER_DESCRIPTORS) // 3)
        self._limits = replace(limits, sessions=min(limits.sessions, able))
        self._gso = gso
        self._cache = Cache()
        self._sessions: dict[int, Session] = {}
        self._receivers: dict[int, Receive] = {}  # what to call when something has come at a descriptor
        self._stranger_doors: dict[int, int] = {}  # a session's descriptor -> the one where strangers are heard
        self._half_open: dict[str, OrderedDict[int, None]] = {}
        self._of_client: dict[str, dict[int, None]] = {}  # descriptors, the oldest first
        self._asking: dict[tuple[str, int], Request] = {}  # looked up
        self._unheard: dict[tuple[str, int], Session] = {}  # answered, and not heard of since
        self._waiting: Counter[str] = Counter()
        self._complained_at = 0.0
        self._looked_at = 0.0
        self._measured_at = 0.0
        self._allowed: dict[str, bool] = {}
        self._resolved: queue.SimpleQueue[tuple[Request, str, Reply]] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Transfer | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="tftp-resolve")
        self._listener = sockets.listen(address)
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._epoll = select.epoll()
        for sock, receiver in ((self._listener, self._requests), (self._wake_reader, self._woken)):
            self._receivers[sock.fileno()] = receiver
            self._epoll.register(sock, select.EPOLLIN)

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
        self._receivers[self._listener.fileno()] = _nobody
        self._listener.close()
        deadline = time.monotonic() + DRAIN_S
        # Those that nobody has answered may be forged; nothing is lost with them.
        while any(session.proven for session in self._sessions.values()) and time.monotonic() < deadline:
            self._turn()
        for session in list(self._sessions.values()):
            session.abort("the server stops")
            self._end(session)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._events.put(None)
        teller.join(DRAIN_S)
        self._epoll.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _turn(self) -> None:
        """One look at everything that is due; whatever goes wrong with one client stays with that client."""
        ready = self._epoll.poll(LOOK_S if self._sessions else IDLE_S, AT_ONCE)
        # One look at the clock for all of them: what that does to a measured round trip is far below its floor.
        now = time.monotonic()
        receivers = self._receivers
        for descriptor, _ in ready:
            try:
                if receivers[descriptor](now):
                    self._changed(self._sessions[descriptor])
            except Exception:  # a bug met by one client must not end the boot of a rack
                log.exception("What came for a transfer could not be handled")
                self._break_off(self._sessions.get(descriptor))
        now = time.monotonic()
        if now - self._looked_at >= LOOK_S:
            self._look(now)

    def _changed(self, session: Session) -> None:
        """It ended, or its client has proved to exist."""
        if session.outcome:
            self._end(session)
        elif session.proven and session.fileno() not in self._stranger_doors:
            self._forget_half_open(session)
            self._open_door(session)

    def _guarded(self, session: Session, work: Callable[[float], None], now: float) -> None:
        try:
            work(now)
        except Exception:
            log.exception("A transfer of %s to %s failed", session.request.filename, session.client[0])
            self._break_off(session)
        else:
            self._changed(session)

    def _break_off(self, session: Session | None) -> None:
        if session is not None:
            session.abort("our error")
            self._end(session)

    def _open_door(self, session: Session) -> None:
        """Hear strangers at the transfer's port, from now on: before its client had answered, none could know it."""
        door = session.strangers()
        self._stranger_doors[session.fileno()] = door
        if door >= 0:
            self._receivers[door] = session.stranger
            self._epoll.register(door, select.EPOLLIN)

    def _requests(self, _now: float) -> bool:
        for _ in range(REQUESTS_AT_ONCE):
            try:
                datagram, ancillary, _, sender = self._listener.recvmsg(2048, 128)
            except BlockingIOError:
                break
            except OSError:
                continue
            client = (str(sender[0]), int(sender[1]))
            if not self._may_ask(client[0]):
                continue
            try:
                self._request(datagram, client, sockets.local_address(ancillary), time.monotonic())
            except BadRequest as bad:
                self._refuse(client, bad)
            except Exception:  # the killer packet that nobody has thought of yet
                log.exception("A packet from %s could not be handled", client[0])
        return False

    def _request(self, datagram: bytes, client: tuple[str, int], local: str, now: float) -> None:
        if packets.opcode(datagram) not in (packets.RRQ, packets.WRQ):
            return  # an answer to an answer is how two servers talk for ever
        request = packets.parse_request(
            datagram, client, max_blksize=self._limits.blksize, max_window=self._limits.windowsize
        )
        if self._asking.get(client) == request:
            return  # it repeats its request while we look it up
        unheard = self._unheard.get(client)
        if unheard is not None and unheard.request == request:
            self._guarded(unheard, unheard.asked_again, now)
            return
        reply = self._resolve_fast(request)
        if reply is not None:
            self._start(request, local, reply, now)
            return
        limits = self._limits
        if self._waiting.total() >= limits.waiting or self._waiting[client[0]] >= limits.waiting_per_client:
            return  # it will ask again
        self._asking[client] = request
        self._waiting[client[0]] += 1
        self._pool.submit(self._look_up, request, local, time.monotonic() + limits.resolve_s)

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
            if self._asking.get(request.client) is request:
                del self._asking[request.client]
            self._waiting[request.client[0]] -= 1
            if self._waiting[request.client[0]] <= 0:
                del self._waiting[request.client[0]]
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
        if not self._make_room(request.client[0]):
            content.close()
            self._complain(now, f"{request.client[0]} has as many transfers as it may have; it has to wait.")
            return
        try:
            sock = sockets.reply(local, request.client)
        except OSError as error:
            content.close()
            self._complain(now, f"There is no socket for a transfer to {request.client[0]}: {error}.")
            return
        session = Session(sock, request, content, gso=self._gso, known=self._may_ask)
        descriptor = session.fileno()
        self._sessions[descriptor] = session
        self._receivers[descriptor] = session.receive
        self._unheard[request.client] = session
        self._of_client.setdefault(request.client[0], {})[descriptor] = None
        self._half_open.setdefault(request.client[0], OrderedDict())[descriptor] = None
        self._epoll.register(descriptor, select.EPOLLIN)
        self._guarded(session, session.start, now)

    def _absent(self, request: Request, reason: str) -> None:
        log.info("%s asked for %r: %s", request.client[0], request.filename, reason)
        self._refuse(request.client, BadRequest(packets.NOT_FOUND, "File not found"))
        self._told(Transfer(request.client[0], request.filename, 0, 0.0, f"not found: {reason}"))

    def _refuse(self, client: tuple[str, int], bad: BadRequest) -> None:
        with contextlib.suppress(OSError):
            self._listener.sendto(packets.error(bad.code, bad.message), client)

    def _make_room(self, client: str) -> bool:
        """Whether one more transfer may start; makes room where that hurts least.

        At its own limit a client loses its oldest transfer that may be forged, or has to wait. At everybody's limit
        whoever has most of them loses one, so that one address cannot shut out the others.
        """
        if len(self._of_client.get(client, ())) >= self._limits.sessions_per_client and not self._evict_half_open(
            client
        ):
            return False
        if len(self._sessions) < self._limits.sessions:
            return True
        if self._half_open:
            return self._evict_half_open(max(self._half_open, key=lambda name: len(self._half_open[name])))
        greediest = max(self._of_client, key=lambda name: len(self._of_client[name]))
        if len(self._of_client[greediest]) <= len(self._of_client.get(client, ())) + 1:
            return False
        self._evict(next(iter(self._of_client[greediest])))
        return True

    def _evict_half_open(self, client: str) -> bool:
        waiting = self._half_open.get(client)
        if not waiting:
            return False
        self._evict(next(iter(waiting)))
        return True

    def _evict(self, descriptor: int) -> None:
        session = self._sessions[descriptor]
        session.outcome = "given up for a newer request"
        self._end(session)

    def _end(self, session: Session) -> None:
        descriptor = session.fileno()
        if self._sessions.pop(descriptor, None) is None:
            return
        # Something may have come here in the same turn; the descriptor's next owner takes the place.
        self._receivers[descriptor] = _nobody
        door = self._stranger_doors.pop(descriptor, -1)
        if door >= 0:
            self._receivers[door] = _nobody
        self._forget_half_open(session)
        host = session.client[0]
        mine = self._of_client[host]
        del mine[descriptor]
        if not mine:
            del self._of_client[host]
        session.close()  # which takes its descriptors out of the epoll, too
        seconds = time.monotonic() - session.started
        self._told(Transfer(host, session.request.filename, session.size, seconds, session.outcome))

    def _told(self, event: Transfer) -> None:
        """Hand an event on. When the listener falls behind, refusals are dropped: only arrivals are evidence."""
        if event.done or self._events.qsize() < UNTOLD_LIMIT:
            self._events.put(event)

    def _complain(self, now: float, sentence: str) -> None:
        """Log what a flood could make us say thousands of times, at most once a second."""
        if now - self._complained_at >= 1.0:
            self._complained_at = now
            log.warning("%s", sentence)

    def _forget_half_open(self, session: Session) -> None:
        # From now on the same request from the same port is a new one: firmware begins anew from the same port.
        if self._unheard.get(session.client) is session:
            del self._unheard[session.client]
        waiting = self._half_open.get(session.client[0])
        if waiting is not None:
            waiting.pop(session.fileno(), None)
            if not waiting:
                del self._half_open[session.client[0]]

    def _look(self, now: float) -> None:
        """Whose patience has ended? A look at everybody costs less than to keep an order that each packet changes."""
        self._looked_at = now
        if now - self._beat_at >= IDLE_S:
            self._beat_at = now
            self._beat()
        measure = now - self._measured_at >= MEASURE_S
        if measure:
            self._measured_at = now
        for session in list(self._sessions.values()):
            if measure:
                session.measure_next()
            if session.due <= now:
                self._guarded(session, session.overdue, now)

    def _may_ask(self, address: str) -> bool:
        """Whether an address is in the provisioning networks; answered once per address, for a bounded number."""
        known = self._allowed.get(address)
        if known is None:
            if len(self._allowed) > 65_536:
                self._allowed.clear()
            number = int.from_bytes(socket.inet_aton(address), "big")
            known = any(number & mask == network for mask, network in self._networks)
            self._allowed[address] = known
        return known

    def _woken(self, _now: float) -> bool:
        """Something was looked up, or it is time to stop."""
        with contextlib.suppress(BlockingIOError, OSError):
            while self._wake_reader.recv(4096):
                pass
        self._answers()
        return False

    def _tell(self) -> None:
        """Hand on what has ended since the last time: one event on a quiet day, hundreds while a rack boots."""
        running = True
        while running:
            events = [self._events.get()]
            time.sleep(GATHER_S)
            with contextlib.suppress(queue.Empty):
                while len(events) < EVENTS_AT_ONCE:
                    events.append(self._events.get_nowait())
            running = None not in events
            if told := [event for event in events if event is not None]:
                try:
                    self._on_events(told)
                except Exception:
                    log.exception("Events could not be kept: %s", told)


def _nobody(_now: float) -> bool:
    return False
