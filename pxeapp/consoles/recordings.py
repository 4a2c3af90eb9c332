"""Recorded consoles: files in asciicast's form (version 2), one a deployment, that survive a kill -9.

The first line is a header, every other one `[seconds, "o", text]`, appended and never rewritten; a last line that was
not finished when somebody pulled the plug is left out by every reader. What is typed is not recorded: it may be a
password, and what matters of it the machine echoes.
"""

from __future__ import annotations

import codecs
import datetime as dt
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pxeapp.consoles.models import ConsoleRecording
from pxeapp.errors import NotFound

FOLDER = "consoles"  # below the data directory
SIZE_LIMIT = 8 * 1024 * 1024  # of one file; a machine that says more is endless
TOTAL_LIMIT = 4 * 1024 * 1024 * 1024  # of all of them: the oldest go first
WIDTH, HEIGHT = 80, 24
# What a terminal obeys and a reader of text does not want to see: sequences, and signs that are no text.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_SIGNS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def path_of(data_dir: Path, number: int) -> Path:
    """Where a recording's file is."""
    return data_dir / FOLDER / f"{number}.cast"


class Recorder:
    """Appends to one file; made anew after a crash it goes on where the file ends."""

    def __init__(self, path: Path, *, started_at: dt.datetime, title: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._began = started_at
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = self._after_crash()
        self.cut = self.size >= SIZE_LIMIT
        if self.size == 0:
            header = {
                "version": 2, "width": WIDTH, "height": HEIGHT, "timestamp": int(started_at.timestamp()), "title": title
            }  # fmt: skip
            self._put(header)

    def heard(self, data: bytes, *, now: dt.datetime) -> None:
        """Keep what the machine said just now."""
        text = self._decoder.decode(data)
        if text and not self.cut:
            self._put([round(max(0.0, (now - self._began).total_seconds()), 3), "o", text])
            self.cut = self.size >= SIZE_LIMIT

    def close(self) -> None:
        """No more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _put(self, value: Any) -> None:
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        os.pwrite(self._file, line, self.size)
        self.size += len(line)

    def _after_crash(self) -> int:
        """The file's length without a line that was not finished."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, 1 << 20, max(0, size - (1 << 20)))
        whole = size - (len(tail) - tail.rfind(b"\n") - 1) if b"\n" in tail else 0
        if whole != size:
            os.ftruncate(self._file, whole)
        return whole


def lines(path: Path) -> Iterator[str]:
    """The finished lines of a recording."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line.decode()
    except FileNotFoundError:
        raise NotFound("The file of this recording is gone.") from None


def events(path: Path) -> Iterator[tuple[float, str]]:
    """What was said, and when in seconds."""
    for number, line in enumerate(lines(path)):
        if number:
            yield event(line)


def event(line: str | bytes) -> tuple[float, str]:
    """One line after the header: the second, and what was said."""
    seconds, _, text = json.loads(line)
    return float(seconds), str(text)


def as_text(path: Path) -> Iterator[str]:
    """The same for reading and searching: without what a terminal would obey."""
    rest = ""
    for _, text in events(path):
        whole, newline, rest = (rest + text).rpartition("\n")
        if newline:
            yield plain(whole.removesuffix("\r")) + "\n"
        elif len(rest) > 1 << 16:
            whole, rest = rest, ""
            yield plain(whole)
    if rest:
        yield plain(rest)


def plain(text: str) -> str:
    """Text without escape sequences and control signs; nothing in it can do anything to whoever prints it."""
    return _SIGNS.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


# --- the rows ---------------------------------------------------------------------------------------------------------


def of_machine(session: Session, machine_id: int, *, limit: int = 50) -> Sequence[ConsoleRecording]:
    """The newest first."""
    found = select(ConsoleRecording).where(ConsoleRecording.machine_id == machine_id)
    return session.scalars(found.order_by(ConsoleRecording.id.desc()).limit(limit)).all()


def get(session: Session, machine_id: int, number: int) -> ConsoleRecording:
    """One of them."""
    found = session.get(ConsoleRecording, number)
    if found is None or found.machine_id != machine_id:
        raise NotFound(f"This machine has no console recording {number}; old ones are deleted.")
    return found


def forget_old(session: Session, data_dir: Path, *, now: dt.datetime, days: int) -> list[Path]:
    """Delete the rows of what is too old or too much; returns the files to delete once that is committed."""
    ended = select(ConsoleRecording).where(ConsoleRecording.ended_at.is_not(None)).order_by(ConsoleRecording.id)
    rows = list(session.scalars(ended))
    total = sum(row.size for row in rows)
    gone = []
    for row in rows:
        old = row.ended_at is not None and row.ended_at < now - dt.timedelta(days=days)
        if old or total > TOTAL_LIMIT:
            total -= row.size
            gone.append(row.id)
    if gone:
        session.execute(delete(ConsoleRecording).where(ConsoleRecording.id.in_(gone)))
    kept = set(session.scalars(select(ConsoleRecording.id)))
    # A machine that was deleted takes its rows along, and knows nothing of files.
    files = (data_dir / FOLDER).glob("*.cast") if (data_dir / FOLDER).is_dir() else ()
    return [path for path in files if not path.stem.isdigit() or int(path.stem) not in kept]


def wire(row: ConsoleRecording) -> dict[str, Any]:
    """A recording on the wire."""
    return {
        "id": row.id, "deployment_id": row.deployment_id, "title": row.title, "size": row.size, "cut": row.cut,
        "trouble": row.trouble, "started_at": row.started_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
    }  # fmt: skip
