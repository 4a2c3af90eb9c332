"""Where the BMCs are: their names resolved, in bounded time, and which of them may not or cannot be asked, and why."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from netaddr import IPAddress
from sqlalchemy import select

from pxeapp.doctor.finding import Patient
from pxeapp.machines.models import Bmc, Machine

NAMES_WITHIN_S = 5.0  # all of them; one name server that is silent holds each question up for longer
ASKERS = 32
Address = tuple[str, int]


class Problem(StrEnum):
    """Why a BMC is not asked."""

    OUTSIDE = "outside"  # PXEAPP_BMC_NETWORKS
    UNRESOLVED = "unresolved"
    UNANSWERED = "unanswered"  # by the name service, in time
    SIMULATED = "simulated"
    TIME_IS_UP = "time is up"


@dataclass(frozen=True, slots=True)
class Place:
    """A machine's BMC; its address is a number where nothing is wrong with it."""

    machine: str
    type: str
    address: Address
    problem: Problem | None = None


def of_bmcs(patient: Patient) -> list[Place]:
    """All of them, by the names of their machines."""
    with patient.database.read() as session:
        rows = session.execute(
            select(Machine.name, Bmc.type, Bmc.address, Bmc.port)
            .join(Bmc, Bmc.machine_id == Machine.id)
            .order_by(Machine.name)
        ).all()
    names = {host for _, type_, host, _ in rows if type_ != "fake" and not _is_number(host)}
    numbers = resolved(names, within_s=NAMES_WITHIN_S)

    def place(machine: str, type_: str, host: str, port: int) -> Place:
        if type_ == "fake":
            return Place(machine, type_, (host, port), Problem.SIMULATED)
        number = numbers.get(host) if host in names else host
        if not number:
            problem = Problem.UNANSWERED if number is None else Problem.UNRESOLVED
            return Place(machine, type_, (host, port), problem)
        ip = IPAddress(number.partition("%")[0])
        allowed = any(ip in network for network in patient.settings.bmc_networks)
        return Place(machine, type_, (number, port), None if allowed else Problem.OUTSIDE)

    return [place(*row) for row in rows]


def resolve(host: str) -> str:
    """The address that the BMC worker would use, or nothing."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    except (OSError, UnicodeError):  # UnicodeError: a part of the name is empty or too long for the DNS
        return ""


def resolved(names: Collection[str], ask: Callable[[str], str] = resolve, *, within_s: float) -> dict[str, str]:
    """Each name's address, empty where it has none; a name of which nobody said anything in time is left out."""
    deadline = time.monotonic() + within_s
    questions: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for name in names:
        questions.put(name)

    def work() -> None:
        with suppress(queue.Empty):
            while time.monotonic() < deadline:
                name = questions.get_nowait()
                answers.put((name, ask(name)))

    # The resolver cannot be told to hurry: a thread that hangs in it is left behind, and ends with the process.
    for _ in range(min(len(names), ASKERS)):
        threading.Thread(target=work, daemon=True).start()
    found: dict[str, str] = {}
    with suppress(queue.Empty):
        while len(found) < len(names):
            name, address = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            found[name] = address
    return found


def _is_number(address: str) -> bool:
    """Whether it is an address and no name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
