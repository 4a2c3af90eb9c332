"""What a request is answered with. Which, is somebody else's policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """A file on disk. `root`: it must lie below this folder after every link is followed."""

    path: Path
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes made for this client."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such file; the reason is for our log, the client only hears that it is not there."""

    reason: str = "unknown name"


Reply = File | Data | Absent
