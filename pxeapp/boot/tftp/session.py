"""One transfer: which blocks are out, which are acknowledged, when to send again. It owns its socket."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import time
from collections.abc import Callable

from pxeapp.boot.tftp import packets
from pxeapp.boot.tftp.blocks import HEADER, Content, Unreadable
from pxeapp.boot.tftp.packets import Request

RETRY_AFTER_S = (1.0, 2.0, 4.0, 8.0)  # then the client is given up
UDP_SEGMENT = 103  # linux/udp.h
SOL_UDP = 17
MAX_SEGMENTS = 64  # the kernel's UDP_MAX_SEGMENTS
MAX_DATAGRAM = 65_000
REPEAT_GAP_S = 0.05  # a window is sent again at most this often for repeated acknowledgements
AT_ONCE = 64  # datagrams taken of one client before the others have their turn


class Session:
    """One client's transfer, driven by the loop: `start`, `receive` for each datagram, `timeout` when it is due.

    `outcome` is empty while it runs, then `done`, `abandoned`, or what the client's ERROR said.
    """

    __slots__ = (
        "_acked", "_content", "_gso", "_known", "_oack", "_repeated_at", "_sent", "_socket", "_tries",
        "client", "due", "outcome", "request", "started",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, request: Request, content: Content, *, gso: bool, known: Callable[[str], bool]
    ) -> None:
        self._socket = sock
        self._known = known  # whether an address may hear from us at all
        self._content = content
        self._oack = packets.oack(request, content.size)
        self._acked = -1 if self._oack else 0  # -1: the OACK itself is still to be acknowledged
        self._sent = 0
        self._tries = 0
        self._repeated_at = 0.0
        self._gso = gso and request.windowsize > 1
        self.request = request
        self.client = request.client
        self.started = time.monotonic()
        self.due = 0.0
        self.outcome = ""

    @property
    def half_open(self) -> bool:
        """Whether nothing was ever heard after the request: it may be forged."""
        return self._acked < 0 or (self._acked == 0 and not self._oack)

    @property
    def size(self) -> int:
        """Bytes of the whole content."""
        return self._content.size

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def start(self, now: float) -> None:
        """Send the first packets."""
        self._send_from_acked(now)

    def receive(self, now: float) -> None:
        """Take the datagrams that are waiting, not more than a few: epoll comes back for the rest."""
        for _ in range(AT_ONCE):
            if self.outcome:
                return
            try:
                datagram, sender = self._socket.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError as error:
                # ECONNREFUSED: the client's port is closed, it is gone. Others pass.
                if error.errno == errno.ECONNREFUSED:
                    self.outcome = "the client went away"
                return
            if sender[:2] != self.client:
                self._stranger(datagram, sender)
                continue
            self._packet(datagram, now)

    def timeout(self, now: float) -> None:
        """Send again what was not acknowledged, a few times, each with more patience."""
        if self._tries >= len(RETRY_AFTER_S) - 1:
            self.outcome = "abandoned"
            return
        self._tries += 1
        self._send_from_acked(now)

    def abort(self, message: str) -> None:
        """End it from our side; the client is told."""
        self._send(packets.error(packets.UNDEFINED, message))
        self.outcome = message

    def close(self) -> None:
        """Give back the socket and the content."""
        self._socket.close()
        self._content.close()

    def _stranger(self, datagram: bytes, sender: tuple[str, int]) -> None:
        """RFC 1350: answer a wrong TID, and do not let it disturb this transfer.

        An ERROR is not answered: two of our own sockets would tell each other of it for ever.
        """
        if packets.opcode(datagram) == packets.ERROR or not self._known(sender[0]):
            return
        with contextlib.suppress(OSError):
            self._socket.sendto(packets.error(packets.UNKNOWN_TID, "Unknown transfer ID"), sender)

    def _packet(self, datagram: bytes, now: float) -> None:
        if len(datagram) < 4:
            return
        kind, number = struct.unpack_from("!HH", datagram)
        if kind == packets.ACK:
            self._acknowledged(number, now)
        elif kind == packets.ERROR:
            word = datagram[4:68].split(b"\0", 1)[0].decode("ascii", "replace")
            said = "".join(char if char.isprintable() else "?" for char in word)
            self.outcome = f"the client stopped it ({number} {said})"
        # A repeated RRQ, or anything else, says nothing new: our own timer repeats.

    def _acknowledged(self, number: int, now: float) -> None:
        if self._acked < 0:
            if number == 0:
                self._acked, self._sent, self._tries = 0, 0, 0
                self._send_from_acked(now)
            return
        ahead = (number - self._acked) & 0xFFFF
        if ahead == 0:
            self._repeated(now)
            return
        if ahead > self._sent - self._acked:
            return  # it acknowledges what was never sent, or a block long done
        self._acked += ahead
        self._tries = 0
        if self._acked >= self._content.blocks:
            self.outcome = "done"
            return
        if self._acked < self._sent:
            self._sent = self._acked  # RFC 7440: a gap; go back to what it has and send the window anew
        self._send_from_acked(now)

    def _repeated(self, now: float) -> None:
        """A duplicate ACK. In lock-step it is ignored (the sorcerer's apprentice); in a window it means a loss.

        Our patience runs on: a client that only ever repeats itself must not live for ever.
        """
        if self.request.windowsize > 1 and self._sent > self._acked and now - self._repeated_at > REPEAT_GAP_S:
            self._repeated_at = now
            self._send_blocks()

    def _send_from_acked(self, now: float) -> None:
        patience = RETRY_AFTER_S[self._tries]
        # Agreed on only when the OACK has been answered; until then the request may be forged.
        if self.request.timeout_s is not None and not self.half_open:
            patience = max(patience, self.request.timeout_s)
        self.due = now + patience
        self._send_blocks()

    def _send_blocks(self) -> None:
        """The OACK, or the window that begins after what is acknowledged."""
        try:
            self._send_window_or_oack()
        except Unreadable as error:
            self.abort(str(error))

    def _send_window_or_oack(self) -> None:
        if self._acked < 0:
            self._send(self._oack)
            return
        count = min(self.request.windowsize, self._content.blocks - self._acked)
        self._sent = self._acked + count
        if count == 1:
            self._send(self._content.packets(self._acked + 1, 1))
        else:
            self._send_window(self._acked + 1, count)

    def _send_window(self, first: int, count: int) -> None:
        step = self.request.blksize + HEADER
        at_once = max(1, min(MAX_SEGMENTS, MAX_DATAGRAM // step)) if self._gso else 1
        while count > 0:
            batch = min(at_once, count)
            data = self._content.packets(first, batch)
            if batch == 1:
                self._send(data)
            else:
                self._send_segments(data, step)
            first += batch
            count -= batch

    def _send_segments(self, data: memoryview, step: int) -> None:
        """One system call for a whole window; the kernel cuts it. Where it cannot, packet by packet."""
        if self._gso:
            try:
                self._socket.sendmsg([data], [(SOL_UDP, UDP_SEGMENT, struct.pack("@H", step))], 0, self.client)
            except BlockingIOError:
                return  # the buffer is full: that is a loss like any other
            except OSError as error:
                if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED):
                    return
                self._gso = False
            else:
                return
        for start in range(0, len(data), step):
            self._send(data[start : start + step])

    def _send(self, data: bytes | memoryview) -> None:
        with contextlib.suppress(OSError):  # a packet that cannot leave is a lost packet; the timer knows what to do
            self._socket.sendto(data, self.client)
