"""How what we disabled is told from what somebody else did: by a text of ours, which the cloud itself keeps.

Nothing else has to be remembered for it: a step that died after it disabled a service finds the mark again.
"""

from __future__ import annotations

import re

_OURS = re.compile(r"pxeapp rollout \d+")
_WITHIN = re.compile(r"\s*\[pxeapp rollout \d+\]")
LONGEST = 255  # of an agent's description


def mark(rollout: int) -> str:
    """The reason that a service is disabled with."""
    return f"pxeapp rollout {rollout}"


def is_ours(reason: str | None) -> bool:
    """Whether a rollout of ours, this one or one before, gave this reason; a word added to it makes it somebody's."""
    return bool(_OURS.fullmatch(reason or ""))


def is_within(description: str | None) -> bool:
    """Whether a description has a mark of ours behind whatever else it says."""
    return bool(_WITHIN.search(description or ""))


def marked(description: str | None, rollout: int) -> str:
    """The description with our mark behind it."""
    text = f" [{mark(rollout)}]"
    return (unmarked(description)[: LONGEST - len(text)] + text).strip()


def unmarked(description: str | None) -> str:
    """The description as it was before."""
    return _WITHIN.sub("", description or "")
