"""One transfer: which blocks are out, which are acknowledged, when to send again. It owns its sockets.

Nearly all that a server does is: an acknowledgement comes, the next block goes. `receive` does just that with one look
at the bytes, and leaves whatever else may come to the functions below it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Callable

from pxeapp.boot.tftp import packets, sockets
from pxeapp.boot.tftp.blocks import HEADER, Content, Unreadable
from pxeapp.boot.tftp.packets import Request
from pxeapp.boot.tftp.patience import Patience

UDP_SEGMENT = 103  # linux/udp.h
SOL_UDP = 17
MAX_SEGMENTS = 64  # the kernel's UDP_MAX_SEGMENTS
MAX_DATAGRAM = 65_000
REPEAT_GAP_S = 0.05  # a window is sent again at most this often for repeated acknowledgements
ASKED_AGAIN_S = 0.2  # a request that is repeated after less is one that crossed our answer
RECEIVED = 68  # bytes: an acknowledgement has 4, an ERROR as many as it likes

# An acknowledgement in, a block out: the descriptor's own system calls, with nothing around them.
_read, _write = os.read, os.write


class Session:
    """One client's transfer, driven by the loop: `start`, `receive` for each datagram, `overdue` when it is due.

    `outcome` is empty while it runs, then `done`, `abandoned`, or what the client's ERROR said. `receive` tells whether
    the loop has to look: at an `outcome`, or at `proven`.
    """

    __slots__ = (
        "_acked", "_at_once", "_awaited", "_blocks", "_content", "_cut", "_descriptor", "_gso", "_known", "_oack",
        "_out", "_patience", "_repeated_at", "_socket", "_spoke_at", "_steps", "_stranger_socket", "_window",
        "client", "outcome", "proven", "request", "started",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, request: Request, content: Content, *, gso: bool, known: Callable[[str], bool]
    ) -> None:
        self._socket = sock  # connected: what others send to this port never gets here
        self._descriptor = sock.fileno()
        self._stranger_socket: socket.socket | None = None
        self._known = known  # whether an address may hear from us at all
        self._content = content
        self._blocks = content.blocks
        self._window = request.windowsize
        self._oack = packets.oack(request, content.size)
        self._acked = -1 if self._oack else 0  # -1: the OACK itself is still to be acknowledged
        self._out = 0  # blocks that were sent after it
        self._awaited: bytes | None = None  # the acknowledgement, of all that is out, that needs no closer look
        self._spoke_at = 0.0
        self._repeated_at = 0.0
        self._patience = Patience()
        step = request.blksize + HEADER
        self._gso = gso and self._window > 1
        self._at_once = max(1, min(MAX_SEGMENTS, MAX_DATAGRAM // step))
        self._cut = [(SOL_UDP, UDP_SEGMENT, struct.pack("@H", step))]
        self._steps = content.steps if self._window <= self._at_once else ()
        self.request = request
        self.client = request.client
        self.started = time.monotonic()
        self.proven = False  # until something was heard after the request, it may be forged
        self.outcome = ""

    @property
    def size(self) -> int:
        """Bytes of the whole content."""
        return self._content.size

    @property
    def due(self) -> float:
        """When to send again, unless something comes before."""
        return self._spoke_at + self._patience.wait_s

    def fileno(self) -> int:
        """For epoll."""
        return self._descriptor

    def start(self, now: float) -> None:
        """Send the first packets."""
        self._send_from_acked(now)

    def receive(self, now: float) -> bool:
        """Take one datagram: epoll comes back for the rest, and nobody waits behind one who floods us."""
        try:
            datagram = _read(self._descriptor, RECEIVED)
            if datagram == self._awaited:
                self._spoke_at = now
                if self._window == 1:
                    self._acked = block = self._acked + 1
                    packet, self._awaited = self._steps[block]
                    _write(self._descriptor, packet)
                else:
                    self._next_window()
                return False
        except OSError as error:
            return self._failed(error)
        return self._packet(datagram, now)

    def measure_next(self) -> None:
        """Take a closer look at the next acknowledgement: how long it took."""
        self._awaited = None

    def overdue(self, now: float) -> None:
        """Nothing has been taken for too long."""
        # When everybody's packets wait for us, we are late, not the client: what lies there counts before the clock.
        self.receive(now)
        if not self.outcome and now >= self.due:
            self._timeout(now)

    def _timeout(self, now: float) -> None:
        """Send again what was not acknowledged, each time with more patience, until that ends."""
        if self._patience.again(now, self._spoke_at):
            self._awaited = None
            self._send_from_acked(now)
        else:
            self.outcome = "abandoned"

    def asked_again(self, now: float) -> None:
        """The request came once more: our answer was lost, unless the two crossed.

        It takes one of the few answers that a request gets, so that repeating a forged one brings no more of them.
        """
        if not self.proven and now - self._spoke_at >= ASKED_AGAIN_S and self._patience.may_repeat:
            self._timeout(now)

    def abort(self, message: str) -> None:
        """End it from our side; the client is told."""
        self._send(packets.error(packets.UNDEFINED, message))
        self.outcome = message

    def close(self) -> None:
        """Give back the sockets and the content."""
        self._socket.close()
        if self._stranger_socket is not None:
            self._stranger_socket.close()
        self._content.close()

    def strangers(self) -> int:
        """A descriptor at which others than the client are heard, once it is proven; -1 if there is none to be had.

        Our own is connected. What comes to its port from elsewhere is handed to a second socket there, which is not.
        """
        with contextlib.suppress(OSError):
            self._stranger_socket = sockets.beside(self._socket)
            return self._stranger_socket.fileno()
        return -1

    def stranger(self, _now: float) -> bool:
        """RFC 1350: answer a wrong TID, and do not let it disturb this transfer.

        An ERROR is not answered: two of our own sockets would tell each other of it for ever.
        """
        sock = self._stranger_socket
        if sock is None:
            return False
        with contextlib.suppress(OSError):
            datagram, sender = sock.recvfrom(RECEIVED)
            if packets.opcode(datagram) != packets.ERROR and self._known(sender[0]):
                sock.sendto(packets.error(packets.UNKNOWN_TID, "Unknown transfer ID"), sender)
        return False

    def _failed(self, error: OSError) -> bool:
        """A system call brought nothing, or a block could not leave; a lost one is the timer's business."""
        if error.errno == errno.ECONNREFUSED:
            self.outcome = "the client went away"  # its host says that nothing listens at its port any more
        return bool(self.outcome)

    def _packet(self, datagram: bytes, now: float) -> bool:
        """Whatever is not simply the next acknowledgement."""
        was_proven = self.proven
        if len(datagram) >= 4:
            kind, number = struct.unpack_from("!HH", datagram)
            if kind == packets.ACK:
                self._acknowledged(number, now)
            elif kind == packets.ERROR:
                word = datagram[4:].split(b"\0", 1)[0].decode("ascii", "replace")
                said = "".join(char if char.isprintable() else "?" for char in word)
                self.outcome = f"the client stopped it ({number} {said})"
        # A repeated RRQ, or anything else, says nothing new: our own timer repeats.
        return bool(self.outcome) or self.proven != was_proven

    def _acknowledged(self, number: int, now: float) -> None:
        ahead = (number - self._acked) & 0xFFFF
        if self._acked < 0:
            if number != 0:
                return
        elif ahead == 0:
            self._repeated(now)
            return
        elif ahead > self._out:
            return  # it acknowledges what was never sent, or a block long done
        if not self.proven:
            self.proven = True
            self._patience.proven(self.request.timeout_s)
        # Less than all that is out is RFC 7440's way to tell a gap: go back to what it has, and send the window anew.
        measured = self._patience.answered(now - self._spoke_at, whole=ahead >= self._out)
        self._acked += ahead
        if self._acked >= self._blocks:
            self.outcome = "done"
            return
        self._send_from_acked(now)
        # Until an answer has been measured, each is looked at: only a measurement ends the patience of a lossy time.
        if measured and self._steps and (self._gso or self._window == 1):
            self._awaited = self._steps[self._acked + self._out - 1][1]

    def _next_window(self) -> None:
        """All that was out has arrived: what comes next, in one system call."""
        self._acked = first = self._acked + self._out
        window = self._content.packets(first + 1, self._window)
        self._out = len(window)
        self._awaited = self._steps[first + self._out - 1][1]
        self._send_all(window)

    def _repeated(self, now: float) -> None:
        """A duplicate ACK. In lock-step it is ignored (the sorcerer's apprentice); in a window it means a loss.

        Our patience runs on: a client that only ever repeats itself must not live for ever.
        """
        if self._window > 1 and self._out and now - self._repeated_at > REPEAT_GAP_S:
            self._repeated_at = now
            self._patience.sent_twice()
            self._send_blocks()

    def _send_from_acked(self, now: float) -> None:
        self._spoke_at = now
        self._send_blocks()

    def _send_blocks(self) -> None:
        """The OACK, or the window that begins after what is acknowledged."""
        if self._acked < 0:
            self._send(self._oack)
            return
        count = min(self._window, self._blocks - self._acked)
        self._out = count
        try:
            self._send_window(self._acked + 1, count)
        except Unreadable as error:
            self.abort(str(error))

    def _send_window(self, first: int, count: int) -> None:
        while count > 0:
            batch = min(count, self._at_once)
            self._send_all(self._content.packets(first, batch))
            first += batch
            count -= batch

    def _send_all(self, window: list[bytes]) -> None:
        """One system call for a whole window, and the kernel cuts it; where it cannot, packet by packet."""
        if self._gso and len(window) > 1:
            try:
                self._socket.sendmsg(window, self._cut)
            except BlockingIOError:
                return  # the buffer is full: that is a loss like any other
            except OSError as error:
                if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED):
                    self._failed(error)
                    return
                self._gso = False
            else:
                return
        for packet in window:
            self._send(packet)

    def _send(self, packet: bytes) -> None:
        try:
            self._socket.send(packet)
        except OSError as error:
            self._failed(error)
