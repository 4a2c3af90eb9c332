"""What job.sh is told and what it answers, whether over ssh or on this host. Pure but for the files it is made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = "/var/lib/pxeapp/jobs"  # on an installed machine
MOST_LOG = 64 * 1024  # bytes of a log that come at one look
MOST_RESULT = 2 * 1024 * 1024
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,100}")
PROGRAM = (Path(__file__).parent / "job.sh").read_bytes()
RUNNER = (Path(__file__).parent / "runner.sh").read_bytes()

State = Literal["absent", "running", "ended", "lost"]


@dataclass(frozen=True, slots=True)
class Job:
    """How far a job is: absent (nothing has begun), running, ended with `exit`, or lost: it died and left no code.

    `log` is what is new since the offset that was asked for; `offset` is where the next look goes on.
    """

    state: State
    exit: int | None
    log: str
    offset: int
    more: bool = False  # there is more log than fits into one look


def checked(name: str) -> str:
    """The name of a job, which becomes a folder's and a unit's."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a job.")
    return name


def start_words(folder: str, name: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """The words behind `bash -s --` that begin a job; `start_input` goes with them."""
    return (folder, "start", checked(name), str(len(arguments)), str(len(RUNNER)))


def start_input(script: str, arguments: Sequence[str]) -> bytes:
    """The program, and behind it all that the job is made of."""
    if any("\n" in each or "\0" in each for each in arguments):
        raise ValueError("An argument of a job is one line.")
    lines = "".join(f"{each}\n" for each in arguments)
    return PROGRAM + lines.encode() + RUNNER + script.encode()


def look_words(folder: str, name: str, offset: int) -> tuple[str, ...]:
    """The words that ask for a job's state and the log from there on."""
    return (folder, "look", checked(name), str(max(0, offset)), str(MOST_LOG))


def result_words(folder: str, name: str) -> tuple[str, ...]:
    """The words that ask for what it wrote to its $PXEAPP_RESULT."""
    return (folder, "result", checked(name), str(MOST_RESULT))


def stop_words(folder: str, name: str) -> tuple[str, ...]:
    """The words that end it."""
    return (folder, "stop", checked(name))


def read(answer: bytes, offset: int) -> Job | None:
    """What `look` said; None where that cannot be read."""
    head, newline, log = answer.partition(b"\n")
    match = re.fullmatch(rb"(absent|running|ended|lost) (-|[0-9]{1,3}) ([0-9]{1,15})", head)
    if match is None or not newline:
        return None
    # A character may be cut in two where the look ends: the rest of it comes with the next one.
    whole = log if len(log) < MOST_LOG else log[: len(log) - _cut(log)]
    state: State = match[1].decode()  # type: ignore[assignment]  # the pattern knows these four
    code = None if match[2] == b"-" else int(match[2])
    until = offset + len(whole)
    return Job(state, code, whole.decode(errors="replace"), until, more=until < int(match[3]))


def _cut(log: bytes) -> int:
    """How many bytes at the end are the beginning of a character that is not whole."""
    for back in range(1, 4):
        byte = log[-back]
        if byte >= 0xC0:
            return back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
        if byte < 0x80:
            return 0
    return 0
