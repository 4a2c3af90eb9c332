"""Which of our machines a Swift's rings are about, and how they are asked."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import select

from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.nodes.jobs import Job
from pxeapp.nodes.models import Node
from pxeapp.rollouts.rings import builder
from pxeapp.rollouts.rings.builder import Seen
from pxeapp.sentences import last_words

FOLDER = "/etc/swift"  # where every node of a Swift reads its rings
NEVER = ("compute", "network", "block")  # roles that have no rings
LOOK_S = 12.0  # a big builder file takes some seconds to read


class Ran(Protocol):
    """What a command left."""

    @property
    def exit_code(self) -> int:
        """As the shell gives it."""
        ...

    @property
    def output(self) -> str:
        """What it said."""
        ...


class Machines(Protocol):
    """Installed machines; nodes.reach.Nodes is one."""

    def run(self, machine_id: int, command: str, timeout_s: float) -> Ran:
        """Run a short command."""
        ...

    def run_script(self, machine_id: int, script: str, arguments: Sequence[str], timeout_s: float) -> Ran:
        """Run a short script."""
        ...

    def start_job(self, machine_id: int, name: str, script: str, arguments: Sequence[str] = ()) -> None:
        """Begin one that outlives us, unless one of this name has."""
        ...

    def job(self, machine_id: int, name: str, offset: int) -> Job:
        """How far it is."""
        ...

    def result(self, machine_id: int, name: str) -> str:
        """What it wrote to its $PXEAPP_RESULT."""
        ...

    def read_file(self, machine_id: int, path: str, most: int) -> bytes:
        """So many bytes of a file at most."""
        ...

    def write_file(self, machine_id: int, path: str, content: bytes, *, group: str, mode: str) -> None:
        """Write it whole or not at all."""
        ...


def number(database: Database, name: str) -> int:
    """The machine of this name, MAC or number; raises NotFound."""
    with database.read() as session:
        return selectors.get(session, name).id


def peers(database: Database, cluster: str | None) -> list[tuple[int, str]]:
    """The machines that may have rings of the same Swift and can be asked: number and name."""
    with database.read() as session:
        rows = session.execute(
            select(Machine.id, Machine.name, Machine.role)
            .join(Node, Node.machine_id == Machine.id)
            .where(Machine.cluster.is_(None) if cluster is None else Machine.cluster == cluster)
            .order_by(Machine.id)
        ).all()
    return [(machine_id, name) for machine_id, name, role in rows if role not in NEVER]


def look(machines: Machines, machine_id: int, name: str, folder: str) -> Seen:
    """What the builder files of this machine say; raises Conflict where it has none that can be read."""
    ran = machines.run_script(machine_id, builder.SCRIPT, (folder, "look"), LOOK_S)
    if ran.exit_code == 0:
        with contextlib.suppress(ValueError):
            return builder.read(ran.output.strip().rpartition("\n")[2])
    said = last_words(ran.output, 200) or f"exit {ran.exit_code}"
    raise Conflict(
        f"The rings' builder files cannot be read on {name}: {said.rstrip('.')}.",
        hint="Name the machine and the folder where swift-ring-builder is used.",
    )
