"""What a console showed before it is held anew, so that no screen begins black.

It is remembered for a while after the line was given back; else the end of the machine's newest recording tells. The
moment until which it was said stands below it, as the line of a clock: no words, for it goes to pages in any language.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import threading
from collections import OrderedDict
from pathlib import Path

from pxeapp.config import Settings
from pxeapp.consoles import recordings
from pxeapp.db import Database
from pxeapp.errors import PxeError

SCREENFUL = 16 * 1024  # bytes; a full screen with its colours is some thousand
MACHINES = 500  # how many are remembered; the one that was held last goes last
NEWEST = 3  # recordings that are looked at: an attempt may have been over before the machine said a word
READ_BACK = 256 * 1024  # of a recording's file: one line of it is no longer than what was said at once
_BEGINS = re.compile(rb"\n|\x1b")
_DRAWS = re.compile(rb"\x1b\[[0-9;]*[Hf]")
_CALM = b"\x1b[!p\x1b[0m"  # whatever colours, margins and hidden cursors were left behind end here
_BOTTOM = b"\x1b[999;1H"  # the line must not stand in the middle of a drawn screen


class Earlier:
    """What the consoles of this process showed, and where older words are found."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        # By its name as well: the number of a machine that was deleted may be another's.
        self._said: OrderedDict[tuple[int, str], tuple[bytes, dt.datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, machine_id: int, name: str, said: bytes, until: dt.datetime | None) -> None:
        """Keep the end of what was said; `until`: when its last word was, None where there was none."""
        if until is None:
            return
        with self._lock:
            self._said[machine_id, name] = (said[-SCREENFUL:], until)
            self._said.move_to_end((machine_id, name))
            while len(self._said) > MACHINES:
                self._said.popitem(last=False)

    def screen(self, machine_id: int, name: str) -> bytes:
        """What a new viewer is shown first; nothing where nobody knows, or the database is away for a moment."""
        with self._lock:
            found = self._said.get((machine_id, name))
        if found is None:
            try:
                found = self._recorded(machine_id)
            except (PxeError, OSError, ValueError):
                return b""
        return below(*found) if found is not None else b""

    def _recorded(self, machine_id: int) -> tuple[bytes, dt.datetime] | None:
        with self._database.read() as session:
            newest = [(row.id, row.started_at) for row in recordings.of_machine(session, machine_id, limit=NEWEST)]
        for number, started_at in newest:
            path = recordings.path_of(self._settings.data_dir, number)
            seconds, said = last_words(path) if path.exists() else (0.0, b"")
            if said:
                return said, started_at + dt.timedelta(seconds=seconds)
        return None


def last_words(path: Path) -> tuple[float, bytes]:
    """The end of a recording, and the second in which it was said; however long the file is, only its end is read."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - READ_BACK))
        whole, _, _ = file.read().rpartition(b"\n")  # a crash may have torn the last line
    _, *events = whole.split(b"\n")  # the header, or a piece of a line
    seconds, said = 0.0, b""
    for line in reversed(events):
        when, text = recordings.event(line)
        seconds = seconds or when
        said = text.encode(errors="replace") + said
        if len(said) >= SCREENFUL:
            break
    return seconds, said[-SCREENFUL:]


def clean_start(said: bytes | bytearray) -> int:
    """From where on a piece of what was said can be shown: not in the middle of a line or of an escape sequence."""
    found = _BEGINS.search(said)
    if found is None:
        return 0
    return found.end() if found[0] == b"\n" else found.start()


def below(said: bytes, until: dt.datetime) -> bytes:
    """The words, and below them the moment until which they were said."""
    shown = said[clean_start(said) :] if len(said) >= SCREENFUL else said
    down = _BOTTOM if _DRAWS.search(shown) else b""
    return shown + _CALM + down + f"\r\n━━━ {until:%Y-%m-%d %H:%M:%S} UTC ━━━\r\n".encode()
