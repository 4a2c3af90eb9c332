"""Commands and jobs on installed machines, for whoever has a thread: by a machine's number, with its keys pinned.

    nodes.run(machine_id, "systemctl is-active nova-compute", 30)
    nodes.start_job(machine_id, "pxeapp-rollout-3-7-patch-1", script, ["security"])
    nodes.job(machine_id, "pxeapp-rollout-3-7-patch-1", offset)

A job goes on when the connection is lost or the appliance is restarted, is found again by its name on any host, and
runs once however often it is started.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence

from sqlalchemy.orm import selectinload

from pxeapp.db import Database
from pxeapp.errors import NotFound
from pxeapp.machines.models import Machine
from pxeapp.nodes import connection, jobs, keys, pins
from pxeapp.nodes.connection import Ran, Target
from pxeapp.nodes.errors import FileTrouble, HostKeyUnknown, JobNotStarted, NoAddress, NodeDiskFull
from pxeapp.nodes.jobs import Job
from pxeapp.nodes.models import Node
from pxeapp.vault import Vault

ASKING_S = 10.0  # for what takes a machine no time: a look, a file; two of them fit into one look of a step
ENDS_IN_S = 5  # after the polite signal a command is ended by force
PIECE = 1024 * 1024  # bytes of a file that are read at once; less than connection.KEPT
# From its standard input, which has come whole when its hash is the one that is said.
PUT = """set -e
new=$(mktemp "$1.XXXXXX")
trap 'rm -f "$new"' EXIT
cat >"$new"
[ "$(sha256sum <"$new" | cut -c-64)" = "$2" ]
if [ -e "$1" ]; then chown --reference="$1" "$new" && chmod --reference="$1" "$new"
else chgrp "$3" "$new" && chmod "$4" "$new"; fi
mv -f "$new" "$1"
"""
NO_SPACE = "No space left on device"


class Nodes:
    """The way to every installed machine; made once per process, used by any thread. Its key is in no text of it."""

    def __init__(
        self, database: Database, vault: Vault, *, connect_s: float = connection.CONNECT_S, folder: str = jobs.FOLDER
    ) -> None:
        self._database = database
        self.private_key = keys.private_key(vault)
        self._connect_s = connect_s
        self._folder = folder

    def target(self, machine_id: int) -> Target:
        """How it is reached; raises HostKeyUnknown or NoAddress with what to do about it."""
        with self._database.read() as session:
            machine = session.get(Machine, machine_id, options=[selectinload(Machine.interfaces)])
            node = session.get(Node, machine_id)
        if machine is None:
            raise NotFound("The machine is not registered any more.")
        if node is None or not node.host_keys:
            raise HostKeyUnknown(machine.name)
        address = pins.address_of(machine, node)
        if not address:
            raise NoAddress(machine.name)
        return Target(machine.name, address, node.port, node.username or pins.USER, tuple(node.host_keys))

    def reaches(self, machine_id: int) -> bool:
        """Whether anything can be run on it at all: its keys and its address are known."""
        try:
            self.target(machine_id)
        except (HostKeyUnknown, NoAddress):
            return False
        return True

    def run(self, machine_id: int, command: str, timeout_s: float) -> Ran:
        """Run a command as root until it ends; on the machine, too, it is ended after so many seconds (exit 124)."""
        return self.run_script(machine_id, command, (), timeout_s)

    def run_script(self, machine_id: int, script: str, arguments: Sequence[str], timeout_s: float) -> Ran:
        """The same with a script that takes arguments; nothing of it is left on the machine."""
        return self._talk(self.target(machine_id), _limited(timeout_s), _evaluated(script, arguments), timeout_s)

    def start_job(self, machine_id: int, name: str, script: str, arguments: Sequence[str] = ()) -> None:
        """Begin a job, unless one of this name has. Arguments are in the process list, the script is not."""
        target = self.target(machine_id)
        words = jobs.start_words(self._folder, name, arguments)
        ran = self._job(target, words, jobs.start_input(script, arguments))
        if ran.exit_code == 0 and ran.output.strip() in ("started", "known"):
            return
        if NO_SPACE in ran.errors:
            raise NodeDiskFull(target.machine, self._folder)
        raise JobNotStarted(target.machine, ran.errors.strip()[-300:])

    def job(self, machine_id: int, name: str, offset: int) -> Job:
        """How far it is, and its log from `offset` on."""
        target = self.target(machine_id)
        words = jobs.look_words(self._folder, name, offset)
        ran = self._job(target, words)
        found = jobs.read(ran.out, offset)
        if found is None:
            raise JobNotStarted(target.machine, ran.errors.strip()[-300:])
        return found

    def result(self, machine_id: int, name: str) -> str:
        """What the job wrote to its $PXEAPP_RESULT."""
        return self._job(self.target(machine_id), jobs.result_words(self._folder, name)).output

    def stop_job(self, machine_id: int, name: str) -> None:
        """End a job that still runs: politely, and after some seconds by force."""
        self._job(self.target(machine_id), jobs.stop_words(self._folder, name))

    def read_file(self, machine_id: int, path: str, most: int) -> bytes:
        """A file, piece by piece; raises FileTrouble where it cannot be read or has more than `most` bytes."""
        target, found = self.target(machine_id), bytearray()
        while len(found) <= most:
            command = f"tail -c +{len(found) + 1} -- {_quoted(path)} | head -c {PIECE}"
            ran = self._talk(target, f"bash -c {_quoted(command)}", b"", ASKING_S)
            if ran.err:  # the code is of no use: tail is ended by whoever has read enough
                raise FileTrouble(target.machine, path, ran.errors.strip()[-300:])
            found += ran.out
            if len(ran.out) < PIECE:
                return bytes(found)
        raise FileTrouble(target.machine, path, f"it has more than {most} bytes")

    def write_file(self, machine_id: int, path: str, content: bytes, *, group: str, mode: str) -> None:
        """Write a file whole or not at all: as it was owned before, or else for root and this group in this mode."""
        target = self.target(machine_id)
        words = " ".join(map(_quoted, (path, hashlib.sha256(content).hexdigest(), group, mode)))
        ran = self._talk(target, f"bash -c {_quoted(PUT)} put {words}", content, ASKING_S)
        if ran.exit_code != 0:
            raise FileTrouble(target.machine, path, ran.errors.strip()[-300:])

    def boot_id(self, machine_id: int) -> str:
        """The kernel's own number of this boot: another one says that it was restarted."""
        return self.run(machine_id, "cat /proc/sys/kernel/random/boot_id", ASKING_S).output.strip()

    def _job(self, target: Target, words: tuple[str, ...], given: bytes = jobs.PROGRAM) -> Ran:
        return self._talk(target, f"bash -s -- {' '.join(map(_quoted, words))}", given, ASKING_S)

    def _talk(self, target: Target, command: str, given: bytes, timeout_s: float) -> Ran:
        return connection.talk(target, self.private_key, command, given, timeout_s=timeout_s, connect_s=self._connect_s)


def _limited(timeout_s: float) -> str:
    return f"timeout -k {ENDS_IN_S} {max(1, math.ceil(timeout_s))} bash -s"


def _evaluated(script: str, arguments: Sequence[str]) -> bytes:
    """What bash reads: encoded, so that nothing in it ends our line, and by its own words, so that no list shows it."""
    encoded = base64.b64encode(script.encode()).decode()
    words = " ".join(_quoted(each) for each in arguments)
    return f'set -- {words}\neval "$(printf %s {encoded} | base64 -d)" </dev/null\n'.encode()


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
