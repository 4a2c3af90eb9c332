"""One IPMI session of our own making: pyghmi's protocol, without pyghmi's sharing, repeating and waiting for ever.

What pyghmi 1.6 does that a worker for hundreds of BMCs cannot have, and what is done about it here:

* a second session to a BMC returns the first one's corpse (its registry is keyed by `str`, cleared by `bytes`):
  `__new__` always makes a new object;
* any thread handles any session's packets, so one BMC's garbage is raised in another's call, and one slow login
  blocks whoever picked up its packet: here a thread waits for, and handles, its own session only;
* waits end after 5 to 40 s, or never: every wait here has a deadline;
* a request sent without retries returns before its answer: `send_once` waits for it, and sends nothing twice;
* a request made while another is under way is queued and leaves later, whenever that is: here it is an error.

Threads: one session belongs to one thread at a time.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.private import session as _session
from pyghmi.ipmi.private.session import Session

LOGIN_S = 8.0  # pyghmi tries twice, about 5 s in all
ANSWER_S = 8.0  # three repeats of a question
SLICE_S = 0.25  # a packet that comes between our look and our wait is noticed after this long
STRANGE_PACKETS = 2  # one may be late or a double; a BMC that sent more, and nothing of use, answers garbage
NO_RESOURCES = 0x01  # the status code (table 13-15) of a BMC that has no session to spare
SHA1, SHA256 = 1, 256  # how pyghmi numbers the hashes of cipher suites 3 and 17
SUITES: dict[int, int] = {3: SHA1, 17: SHA256}
Answer = dict[str, Any]
_peers_lock = threading.Lock()

pyghmi_session: Any = _session  # it carries no types
# pyghmi makes this lock lazily and per class; two threads at start would make two.
pyghmi_session.Session.socketchecking = threading.Lock()


class NoAnswer(Exception):
    """The deadline passed, or pyghmi gave up."""


class LoginRefused(Exception):
    """The BMC ended the login; the text is the BMC's reason in pyghmi's words."""


class Garbage(Exception):
    """The BMC's packets could not be decoded; carries only the kind of error, never data."""


class _SocketsOf:
    """The sockets that living sessions to one BMC use at the moment of asking (pyghmi asks under its lock)."""

    def __init__(self, sessions: weakref.WeakSet[RmcpSession]) -> None:
        self._sessions = sessions

    def __contains__(self, candidate: object) -> bool:
        with _peers_lock:
            peers = list(self._sessions)
        return any(peer.socket is candidate and not peer.broken for peer in peers)


class RmcpSession(Session):
    """A session that logs in within `LOGIN_S` seconds, or raises NoAnswer, LoginRefused or Garbage."""

    forbidsock: _SocketsOf
    _by_bmc: ClassVar[dict[tuple[str, int], weakref.WeakSet[RmcpSession]]] = {}

    def __new__(cls, address: str, port: int, *_: object, **__: object) -> RmcpSession:
        """Always a new object, on a socket that no other session to this BMC uses (answers are told apart by it)."""
        self: RmcpSession = object.__new__(cls)
        self.socket = None
        with _peers_lock:
            peers = cls._by_bmc.setdefault((address, port), weakref.WeakSet())
            peers.add(self)
        self.forbidsock = _SocketsOf(peers)
        return self

    def __init__(self, address: str, port: int, username: str, password: str, *, suite: int | None = None) -> None:
        self._suite = suite
        self._trouble: str | None = None
        self._strange = 0
        self._login: list[Answer] = []
        super().__init__(  # type: ignore[no-untyped-call]
            address, username.encode(), password.encode(), port, onlogon=self._login.append
        )
        deadline = time.monotonic() + LOGIN_S
        if not self._wait(lambda: bool(self._login) or self.broken, deadline):
            self.abandon()
            raise self._silence()
        refusal = self._login[0].get("error", "") if self._login else self.errormsg
        if refusal or self.broken:
            self.abandon()
            if not refusal or refusal == "timeout":
                raise self._silence()
            raise LoginRefused(refusal)
        self.logontries = 0  # a session that breaks is thrown away, not silently begun anew

    def ask(self, netfn: int, command: int, data: tuple[int, ...] = ()) -> Answer:
        """A question, repeated by pyghmi while no answer comes; harmless for what changes nothing."""
        answer = self._request(netfn, command, data, seconds=ANSWER_S, retry=True)
        if answer is None:
            raise self._silence()
        return answer

    def send_once(self, netfn: int, command: int, data: tuple[int, ...], *, seconds: float) -> Answer | None:
        """Exactly one packet; the answer if it comes within `seconds`, else None, and nobody knows what it did."""
        return self._request(netfn, command, data, seconds=seconds, retry=False)

    def abandon(self) -> None:
        """Forget the session without a word to the BMC, which ends it by itself after a minute."""
        self.logged = 0
        if not self.broken:
            self.logout(False)  # type: ignore[no-untyped-call]
        with pyghmi_session.WAITING_SESSIONS:
            Session.waiting_sessions.pop(self, None)

    def end(self) -> None:
        """Log out: one packet, no wait. A BMC has few session slots."""
        if self.logged and not self.broken:
            self.logout()  # type: ignore[no-untyped-call]
        self.abandon()

    def raw_command(self, netfn: int, command: int, **given: Any) -> Answer | None:  # type: ignore[override]
        """What pyghmi calls within its login and logout; bounded like everything here."""
        retry = bool(given.get("retry", True))
        seconds = ANSWER_S if retry else 0.0
        answer = self._request(netfn, command, tuple(given.get("data", ())), seconds=seconds, retry=retry)
        if answer is None and retry:
            raise IpmiException("timeout")  # type: ignore[no-untyped-call]
        return answer

    def process_pktqueue(self) -> None:
        """Handle what came; what cannot be decoded is this session's trouble and nobody else's."""
        came, before = bool(self.pktqueue), self._progress()
        try:
            super().process_pktqueue()  # type: ignore[no-untyped-call]
            self._strange += came and self._progress() == before
        except IpmiException:
            self._trouble = self._trouble or "no answer"
        except Exception as error:  # noqa: BLE001 - pyghmi decodes without checking: garbage shows up as anything
            self._trouble = type(error).__name__

    def _keepalive(self) -> None:
        """No packets that nobody asked for; an idle session is ended by its owner."""

    def _initsession(self) -> None:
        super()._initsession()  # type: ignore[no-untyped-call]
        self.attemptedhash = SUITES.get(self._suite or 17, SHA256)

    def _got_rmcp_response(self, data: bytes) -> None:
        if data[0] == self.rmcptag and data[1] and (self._suite is not None or data[1] == NO_RESOURCES):
            # pyghmi falls back from suite 17 to 3 whatever the refusal. Where the operator chose a suite that is a
            # downgrade, and a BMC that is busy is only asked again. From 3 it falls no further, and tells the reason.
            self.attemptedhash = SHA1
        super()._got_rmcp_response(data)  # type: ignore[no-untyped-call]

    def _progress(self) -> tuple[object, ...]:
        """Changes with every packet that pyghmi could use."""
        return self.sessioncontext, self.rmcptag, self.seqlun, self.logged, bool(self._login)

    def _silence(self) -> NoAnswer | Garbage:
        """Why there is no answer: nothing came, or nothing that could be understood."""
        return NoAnswer() if self._strange < STRANGE_PACKETS else Garbage("nothing that IPMI knows")

    def _request(
        self, netfn: int, command: int, data: tuple[int, ...], *, seconds: float, retry: bool
    ) -> Answer | None:
        if not self.logged:
            raise NoAnswer
        if self.lastpayload or self.pendingpayloads:
            raise NoAnswer  # another request is under way: pyghmi would queue ours and send it some other day
        answers: list[Answer] = []
        self.ipmicallback = answers.append
        self._send_ipmi_net_payload(netfn, command, data, retry=retry)  # type: ignore[no-untyped-call]
        if not seconds or not self._wait(lambda: bool(answers), time.monotonic() + seconds):
            return None
        answer = answers[0]
        return None if answer.get("error") == "timeout" else answer

    def _wait(self, done: Callable[[], bool], deadline: float) -> bool:
        """Handle this session's packets and repeats until `done` or the deadline."""
        while not done():
            self.process_pktqueue()
            if self._trouble is not None:
                self.abandon()
                raise self._silence() if self._trouble == "no answer" else Garbage(self._trouble)
            if done():
                break
            now = time.monotonic()
            if now >= deadline:
                return False
            self._repeat_if_due()
            if self.sockaddr is None and self.allsockaddrs:
                self.sockaddr = self.allsockaddrs[0]  # the address is a number, so there is only one
            if not self.pktqueue:
                pyghmi_session._io_wait(min(SLICE_S, deadline - now), self.sockaddr)
        return True

    def _repeat_if_due(self) -> None:
        with pyghmi_session.WAITING_SESSIONS:
            # pyghmi's clock is not time.monotonic(): it is os.times(), and ahead of it by months.
            due = self in Session.waiting_sessions and self.expiration <= pyghmi_session._monotonic_time()
            if due:
                Session.waiting_sessions.pop(self, None)
        if due:
            try:
                self._timedout()  # type: ignore[no-untyped-call]
            except IpmiException:
                self._trouble = "no answer"
