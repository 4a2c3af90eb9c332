"""Jobs on the appliance's own host, kept as those on a machine are: they outlive the process that ordered them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pxeapp.nodes import jobs
from pxeapp.nodes.errors import JobNotStarted, NodeDiskFull
from pxeapp.nodes.jobs import Job
from pxeapp.nodes.reach import NO_SPACE

HERE = "The appliance's host"
ASKING_S = 10.0


class JobsHere:
    """As nodes/reach.py has them; the machine's number only says whom a job is for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start_job(self, machine_id: int, name: str, script: str, arguments: Sequence[str] = ()) -> None:  # noqa: ARG002
        """Begin it, unless one of this name has begun here."""
        words = jobs.start_words(str(self._folder), name, arguments)
        ran = self._ask(words, jobs.start_input(script, arguments))
        errors = ran.stderr.decode(errors="replace")
        if ran.returncode == 0 and ran.stdout.strip() in (b"started", b"known"):
            return
        if NO_SPACE in errors:
            raise NodeDiskFull(HERE, str(self._folder))
        raise JobNotStarted(HERE, errors.strip()[-300:])

    def job(self, machine_id: int, name: str, offset: int) -> Job:  # noqa: ARG002
        """How far it is, and its log from `offset` on."""
        ran = self._ask(jobs.look_words(str(self._folder), name, offset))
        found = jobs.read(ran.stdout, offset)
        if found is None:
            raise JobNotStarted(HERE, ran.stderr.decode(errors="replace").strip()[-300:])
        return found

    def result(self, machine_id: int, name: str) -> str:  # noqa: ARG002
        """What the job wrote to its $PXEAPP_RESULT."""
        return self._ask(jobs.result_words(str(self._folder), name)).stdout.decode(errors="replace")

    def stop_job(self, machine_id: int, name: str) -> None:  # noqa: ARG002
        """End it: politely, and after some seconds by force."""
        self._ask(jobs.stop_words(str(self._folder), name))

    def _ask(self, words: tuple[str, ...], given: bytes = jobs.PROGRAM) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["bash", "-s", "--", *words], input=given, capture_output=True, timeout=ASKING_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise JobNotStarted(HERE, f"it did not answer within {ASKING_S:.0f} s") from None
