"""One job from its beginning to its end, over many looks: the part that a patch and a runbook have in common."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pxeapp.nodes.jobs import Job
from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.port import Failed, Subject, Waiting
from pxeapp.sentences import last_words

SOON = dt.timedelta(seconds=2)
AT_ONCE = dt.timedelta()
KEPT = 1200  # characters of what it said last, from look to look
MOST_STARTS = 5  # it was laid down and never began: something keeps it from that


class Jobs(Protocol):
    """Where jobs run: on a machine by ssh (nodes/reach.py), or beside us (nodes/here.py)."""

    def start_job(self, machine_id: int, name: str, script: str, arguments: Sequence[str] = ()) -> None:
        """Begin it, unless one of this name has begun."""
        ...

    def job(self, machine_id: int, name: str, offset: int) -> Job:
        """How far it is, and its log from there on."""
        ...

    def result(self, machine_id: int, name: str) -> str:
        """What it wrote to its $PXEAPP_RESULT."""
        ...

    def stop_job(self, machine_id: int, name: str) -> None:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """The job ran to its end, and all of its log was read."""

    exit_code: int
    last: str  # its last words
    log: str  # what is new
    memory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """What runs as the job, and what becomes of it when its time is over."""

    script: str
    arguments: tuple[str, ...]
    timeout: dt.timedelta
    stopped: bool  # False: it is left to end by itself, as a package manager must be
    called: str  # in sentences: "The patch"


def walk(
    jobs: Jobs, subject: Subject, memory: Mapping[str, Any], work: Work, *, now: dt.datetime
) -> Waiting | Failed | Ended:
    """Begin it, or look how far it is. The job's name is the subject's token, so that any host finds it again."""
    name, offset, starts = subject.token, int(memory.get("offset", 0)), int(memory.get("starts", 0))
    if not starts:
        jobs.start_job(subject.machine_id, name, work.script, work.arguments)
        return Waiting(f"{work.called} was begun.", {**memory, "job": name, "starts": 1}, SOON)
    found = jobs.job(subject.machine_id, name, offset)
    last = (str(memory.get("last", "")) + found.log)[-KEPT:]
    remembered = {**memory, "offset": found.offset, "last": last}
    if found.more:
        return Waiting(_says(work, last), remembered, AT_ONCE, found.log)
    if found.state == "ended":
        return Ended(found.exit or 0, last_words(last), found.log, remembered)
    if found.state == "lost":
        return Failed(
            "job_lost",
            f"{work.called} was ended in the middle, by a restart of the machine or by force.",
            "Look at what it left behind; retry begins it anew.",
            {"job": name},
            remembered,
            found.log,
        )
    if now - subject.began_at > work.timeout:
        return _late(jobs, subject, work, found, remembered)
    if found.state == "absent":
        if starts >= MOST_STARTS:
            return Failed(
                "job_not_started", f"{work.called} does not begin.", "Look at the machine's log.", {"job": name}
            )
        jobs.start_job(subject.machine_id, name, work.script, work.arguments)
        return Waiting(f"{work.called} is begun again.", {**remembered, "starts": starts + 1})
    return Waiting(_says(work, last), remembered, log=found.log)


def _late(jobs: Jobs, subject: Subject, work: Work, found: Job, memory: Mapping[str, Any]) -> Failed:
    said = f"{work.called} did not end within {as_text(work.timeout)}"
    if work.stopped:
        jobs.stop_job(subject.machine_id, subject.token)
        said, hint = f"{said} and was ended.", "Give it more time (timeout), or look at why it hangs."
    else:
        said = f"{said}; it is not ended in the middle and goes on on the machine."
        hint = f"Wait for it (journalctl -u {subject.token}), then retry."
    return Failed(
        "timeout", said, hint, {"job": subject.token, "last": last_words(str(memory["last"]))}, memory, found.log
    )


def _says(work: Work, last: str) -> str:
    words = last_words(last)
    return f"{work.called} runs: {words}" if words else f"{work.called} runs."
