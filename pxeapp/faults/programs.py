"""A text judged by a program of the distribution: `bash -n`, shellcheck, grub-script-check.

The text goes in by standard input, so that no file with a secret in it is ever left; nothing of the environment but
PATH is handed on (BASH_ENV would be run); and no program is waited for longer than a deadline.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache

from pxeapp.errors import Unavailable
from pxeapp.faults.verdicts import Verdicts, digest

DEADLINE_S = 20.0
LONGEST_SAID = 200_000


class CheckTooSlow(Unavailable):
    """A program came to no end; nobody knows whether the file is right."""

    title = "Not checked in time"


@dataclass(frozen=True, slots=True)
class Said:
    """How a program ended, and what it wrote."""

    status: int
    out: str
    err: str


_KEPT: Verdicts[Said] = Verdicts(kept=2048)


@lru_cache(maxsize=64)
def installed(program: str) -> str | None:
    """Where a program is; None when this machine has none of that name. Looked up once per process."""
    return shutil.which(program)


def judged(command: tuple[str, ...], text: str, *, deadline_s: float = DEADLINE_S) -> Said:
    """What the program says to the text on its standard input; the same text is not asked about twice.

    Raises CheckTooSlow after the deadline. The program must be installed.
    """
    return _KEPT.get(digest(*command, text), lambda: _run(command, text, deadline_s))


def _run(command: tuple[str, ...], text: str, deadline_s: float) -> Said:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            [installed(command[0]) or command[0], *command[1:]],
            input=text.encode("utf-8", "surrogatepass"),
            capture_output=True,
            timeout=deadline_s,
            check=False,
            env=environment,
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise CheckTooSlow(
            f"{command[0]} did not end within {deadline_s:g} s, so the file was not checked.",
            hint="Try again; a script of the site's own that is huge belongs in a file of its own.",
        ) from error
    out, err = (said[:LONGEST_SAID].decode(errors="replace") for said in (done.stdout, done.stderr))
    return Said(done.returncode, out, err)
