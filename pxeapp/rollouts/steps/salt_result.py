"""What salt-call --out=json says of a state run, as values. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Applied:
    """How many states there were, which of them changed something, which failed; or why there were none."""

    states: int = 0
    changed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    problem: str = ""


def read(text: str) -> Applied:
    """Out of {"local": {"pkg_|-openssl_|-openssl_|-latest": {"result": true, "changes": {...}, "comment": ...}}}."""
    try:
        said = json.loads(text)
    except ValueError:
        return Applied(problem="its answer is no JSON" if text.strip() else "it gave no answer")
    states = next(iter(said.values()), None) if isinstance(said, dict) else None
    if isinstance(states, list):  # a state file that cannot be rendered: Salt says why in a list
        return Applied(problem=" ".join(map(str, states))[:300])
    if not isinstance(states, dict):
        return Applied(problem=str(states)[:300])
    rows = [(_named(key), value) for key, value in states.items() if isinstance(value, dict)]
    return Applied(
        states=len(rows),
        changed=tuple(name for name, value in rows if value.get("changes")),
        failed=tuple(f"{name}: {_comment(value)}" for name, value in rows if value.get("result") is False),
    )


def _named(key: str) -> str:
    """`pkg_|-ID_|-NAME_|-latest` as people write it."""
    parts = key.split("_|-")
    return f"{parts[0]}.{parts[3]} {parts[1]}" if len(parts) == 4 else key


def _comment(value: dict[str, Any]) -> str:
    return " ".join(str(value.get("comment", "")).split())[:200]
