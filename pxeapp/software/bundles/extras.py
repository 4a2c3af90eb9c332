"""What a bundle carries besides releases and snapshots: who brings it and takes it stands above this capability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pxeapp.software.tasks.running import Run


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of an import of these, by name."""

    taken: tuple[str, ...] = ()
    same: tuple[str, ...] = ()  # was there already
    kept: tuple[str, ...] = ()  # ours differ, and nobody said that they are to be replaced


class Extra(Protocol):
    """Boot programs, or templates: files by a name."""

    def bring(self, run: Run) -> Mapping[str, Path | bytes]:
        """What is here."""

    def problems(self, run: Run, files: Mapping[str, Path]) -> list[str]:
        """What stands against taking these, before anything is taken; each a sentence."""

    def take(self, run: Run, files: Mapping[str, Path], *, bundle: str, replace: bool) -> Taken:
        """Have them here; twice is the same as once."""


@dataclass(frozen=True, slots=True)
class Extras:
    """Both."""

    boot_programs: Extra
    templates: Extra
