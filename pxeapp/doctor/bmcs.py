"""Are the BMCs there? Each is asked once, without a session, what every BMC tells to whoever asks."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from netaddr import IPAddress
from sqlalchemy import select

from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.doctor.work import MOST_NAMED, is_number, named
from pxeapp.machines.models import Bmc, Machine

# RMCP; an IPMI 1.5 message outside a session; Get Channel Authentication Capabilities (IPMI 2.0, 22.13): it changes
# nothing, takes no session slot, and is what any session would begin with.
QUESTION = bytes.fromhex("0600ff07 00 00000000 00000000 09 20 18 c8 81 00 38 8e 04 b5")
ANSWER = bytes.fromhex("0600ff07")
ROUNDS = 3  # a packet may be lost
ROUND_S = 1.5
NETWORK = 3  # one or two that are silent may have no power; three, and nobody else, are a network
AT_ONCE = 50  # packets before a short rest, so that a switch's queue holds them
REST_S = 0.01
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """A machine's BMC."""

    machine: str
    address: Address


def answers(patient: Patient) -> Finding:
    """Every BMC that we may talk to answers."""
    with patient.database.read() as session:
        rows = session.execute(
            select(Machine.name, Bmc.address, Bmc.port)
            .join(Bmc, Bmc.machine_id == Machine.id)
            .where(Bmc.type == "ipmi")
            .order_by(Machine.name)
        ).all()
    allowed = patient.settings.bmc_networks
    asked = [
        Asked(name, (address, port))
        for name, address, port in rows
        if is_number(address) and any(IPAddress(address) in network for network in allowed)
    ]
    if not asked:
        return ok("There is no BMC whose address we may ask.")
    there = ask(each.address for each in asked)
    silent = [each.machine for each in asked if each.address not in there]
    if not silent:
        return ok(f"All {len(asked)} BMCs answer.")
    if len(silent) == len(asked) >= NETWORK:
        return fail(
            f"None of the {len(asked)} BMCs answers from this host.",
            "See whether this host reaches the management network by UDP port 623: route, VLAN, firewall.",
        )
    return warn(
        f"{len(silent)} of {len(asked)} BMCs do not answer: {named(silent)}.",
        f"See whether they have power and a cable: pxeapp machine power {silent[0]} — and pull the plug of one that "
        f"hangs{'' if len(silent) <= MOST_NAMED else '; a whole rack of them is a switch'}.",
    )


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
