"""One GET of a URL that an operator wrote: to an address that may be asked, no redirect, bounded in time and size."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult

from netaddr import IPNetwork
from sqlalchemy.orm import selectinload

from pxeapp import pinned
from pxeapp.db import Database
from pxeapp.errors import Invalid, NotFound, PxeError
from pxeapp.machines.models import Machine
from pxeapp.nodes import pins
from pxeapp.nodes.models import Node
from pxeapp.rollouts.port import Subject
from pxeapp.software import fetch

SILENCE_S = 5.0
DEADLINE_S = 10.0
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `whole`: there was no more of it than we read."""

    status: int
    body: bytes
    whole: bool

    @property
    def text(self) -> str:
        """As people read it."""
        return self.body.decode(errors="replace")


def filled_in(database: Database, subject: Subject, text: str, *, in_url: bool) -> str:
    """The text with the machine's name and address in it; nothing else of it means anything."""
    text = text.replace("{machine}", subject.machine)
    if "{address}" not in text:
        return text
    with database.read() as session:
        machine = session.get(Machine, subject.machine_id, options=[selectinload(Machine.interfaces)])
        address = "" if machine is None else pins.address_of(machine, session.get(Node, machine.id))
    if not address:
        raise NotFound(
            f"No address of {subject.machine} is known.",
            hint="Give one of its interfaces an address, or use {machine}.",
        )
    return text.replace("{address}", f"[{address}]" if in_url and ":" in address else address)


def get(url: str, networks: Sequence[IPNetwork], *, deadline_s: float = DEADLINE_S) -> Reply:
    """The answer, whatever its status; raises PxeError where there is none, or it may not be asked for."""
    parts = fetch.check_url(url)
    connection = _connect(parts, networks)
    late = threading.Timer(deadline_s, connection.cut)
    late.daemon = True
    late.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"User-Agent": "pxeapp", "Accept-Encoding": "identity"})
        response = connection.getresponse()
        body = response.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = f"no answer within {deadline_s:.0f} s" if connection.was_cut else str(error) or type(error).__name__
        raise PxeError(f"{_shown(parts)} cannot be asked: {why[:300]}.") from None
    finally:
        late.cancel()
        connection.close()
    if connection.was_cut:
        raise PxeError(f"{_shown(parts)} did not end its answer within {deadline_s:.0f} s.")
    return Reply(response.status, body[:MOST_BYTES], len(body) <= MOST_BYTES)


def _connect(parts: SplitResult, networks: Sequence[IPNetwork]) -> pinned.CuttableConnection:
    addresses = pinned.resolve(parts)
    address = pinned.first_allowed(addresses, networks)
    if address is None:
        raise Invalid(
            f"{parts.hostname} is {', '.join(addresses)}, which may not be contacted.",
            hint="PXEAPP_ROLLOUT_NETWORKS names what is allowed.",
        )
    return pinned.CuttableConnection(parts, address, SILENCE_S)


def _shown(parts: SplitResult) -> str:
    """Without its query, which may hold a key."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[:200]
