"""Are the BMCs there? Each is asked once, without a session, what every BMC tells to whoever asks.

One that speaks IPMI by a packet, one that speaks Redfish by a connection, which is closed before anything is said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import selectors
import socket
import time
from collections.abc import Callable, Iterable

from pxeapp.doctor import places
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.doctor.places import Address, Place, Problem
from pxeapp.doctor.work import MOST_NAMED, named

# RMCP; an IPMI 1.5 message outside a session; Get Channel Authentication Capabilities (IPMI 2.0, 22.13): it changes
# nothing, takes no session slot, and is what any session would begin with.
QUESTION = bytes.fromhex("0600ff07 00 00000000 00000000 09 20 18 c8 81 00 38 8e 04 b5")
ANSWER = bytes.fromhex("0600ff07")
ROUNDS = 3  # a packet may be lost
ROUND_S = 1.5
NETWORK = 3  # one or two that are silent may have no power; three, and nobody else, are a network
AT_ONCE = 50  # packets before a short rest, so that a switch's queue holds them
REST_S = 0.01
CONNECTIONS = 200  # at once
CONNECTED_S = 3.5  # the kernel asks again after 1 s and 3 s
ALL_CONNECTED_S = 15.0  # all of them; with the names and the packets before it that is less than a check may take

NOT_ASKED: dict[Problem, Callable[[int, str], str]] = {
    Problem.OUTSIDE: lambda number, names: (
        f"Not asked, because they are outside PXEAPP_BMC_NETWORKS ({number}): {names}."
    ),
    Problem.UNRESOLVED: lambda number, names: f"Not asked, because their names do not resolve ({number}): {names}.",
    Problem.UNANSWERED: lambda number, names: (
        f"Not asked, because no name server answered in time ({number}): {names}."
    ),
    Problem.TIME_IS_UP: lambda number, names: f"Not asked, because the time was up ({number}): {names}.",
    Problem.SIMULATED: lambda number, names: f"Not asked, because they are simulated ({number}): {names}.",
}


def answers(patient: Patient) -> Finding:
    """Every BMC that we may talk to answers; which ones were not asked is said too."""
    found = places.of_bmcs(patient)
    there = ask(each.address for each in found if each.type == "ipmi" and not each.problem)
    connected, late = connect(each.address for each in found if each.type == "redfish" and not each.problem)
    there |= connected
    found = [
        dataclasses.replace(each, problem=Problem.TIME_IS_UP) if not each.problem and each.address in late else each
        for each in found
    ]
    asked = [each for each in found if not each.problem]
    left_out = "".join(f" {sentence}" for sentence in _not_asked(found))
    unknown = [each.machine for each in found if each.problem not in (None, Problem.SIMULATED)]
    silent = [each.machine for each in asked if each.address not in there]
    if len(silent) == len(asked) >= NETWORK:
        return fail(
            f"None of the {len(asked)} BMCs answers from this host." + left_out,
            "See whether this host reaches the management network by UDP port 623 (IPMI) and TCP port 443 (Redfish): "
            "route, VLAN, firewall.",
        )
    if silent:
        return warn(
            f"{len(silent)} of {len(asked)} BMCs do not answer: {named(silent)}." + left_out,
            f"See whether they have power and a cable: pxeapp machine power {silent[0]} — and pull the plug of one "
            f"that hangs{'' if len(silent) <= MOST_NAMED else '; a whole rack of them is a switch'}.",
        )
    well = f"All {len(asked)} BMCs answer." if asked else "There is no BMC whose address we may ask."
    if unknown:
        return warn(
            well + left_out,
            f"See what is said about the BMC addresses, or ask one by itself: pxeapp machine power {unknown[0]}",
        )
    return ok(well + left_out)


def _not_asked(found: list[Place]) -> list[str]:
    names = {problem: [each.machine for each in found if each.problem is problem] for problem in NOT_ASKED}
    return [NOT_ASKED[problem](len(some), named(some)) for problem, some in names.items() if some]


def ask(addresses: Iterable[Address]) -> set[Address]:
    """Those that answer; bounded in time, however many they are."""
    left = set(addresses)
    there: set[Address] = set()
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        sockets = {}
        for family in {_family(address) for address in left}:
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
            sockets[family] = sock
        for _ in range(ROUNDS):
            for number, address in enumerate(sorted(left - there)):
                with contextlib.suppress(OSError):
                    sockets[_family(address)].sendto(QUESTION, address)
                if number % AT_ONCE == AT_ONCE - 1:
                    time.sleep(REST_S)
            _hear(selector, left, there)
    return there


def connect(addresses: Iterable[Address]) -> tuple[set[Address], set[Address]]:
    """Those that take a TCP connection, and those that nobody came to before the time was up."""
    left = sorted(set(addresses), reverse=True)
    there: set[Address] = set()
    deadline = time.monotonic() + ALL_CONNECTED_S
    with selectors.DefaultSelector() as selector:
        open_: dict[Address, tuple[socket.socket, float]] = {}

        def close(address: Address) -> None:
            sock, _ = open_.pop(address)
            selector.unregister(sock)
            sock.close()

        while (left or open_) and time.monotonic() < deadline:
            while left and len(open_) < CONNECTIONS:
                address = left.pop()
                sock = socket.socket(_family(address), socket.SOCK_STREAM)
                sock.setblocking(False)
                if sock.connect_ex(address) not in (0, errno.EINPROGRESS):  # no route
                    sock.close()
                    continue
                selector.register(sock, selectors.EVENT_WRITE, address)
                open_[address] = sock, time.monotonic() + CONNECTED_S
            next_ = min((until for _, until in open_.values()), default=0.0)
            for key, _ in selector.select(max(0.0, next_ - time.monotonic())):
                if not open_[key.data][0].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    there.add(key.data)
                close(key.data)
            for address in [address for address, (_, until) in open_.items() if until <= time.monotonic()]:
                close(address)
        late = {*left, *open_}
        for address in list(open_):
            close(address)
    return there, late


def _hear(selector: selectors.BaseSelector, asked: set[Address], there: set[Address]) -> None:
    deadline = time.monotonic() + ROUND_S
    while there != asked and (wait := deadline - time.monotonic()) > 0:
        for key, _ in selector.select(wait):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)  # noqa: S101 - we registered it
            with contextlib.suppress(OSError):  # also what an ICMP error leaves behind
                said, sender = sock.recvfrom(512)
                if said.startswith(ANSWER) and sender[:2] in asked:
                    there.add(sender[:2])


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET
