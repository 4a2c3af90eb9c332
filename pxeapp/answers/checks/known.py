"""What a checker is told besides the file: what was read from the release's installer when it was added."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """Nothing of it is needed: a check that lacks it looks at the rest."""
