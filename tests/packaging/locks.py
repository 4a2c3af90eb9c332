"""Reads a lock file into a table of name and version."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[a-z,]+\])?==(?P<version>[^ ;\\]+)", re.MULTILINE)


def text(name: str) -> str:
    """A lock as it is."""
    return (ROOT / name).read_text()


def read(name: str) -> dict[str, str]:
    """Version by package name."""
    return {match["name"]: match["version"] for match in PINNED.finditer(text(name))}


def with_extras(name: str) -> list[str]:
    """Packages that are locked with an extra."""
    return re.findall(r"^([A-Za-z0-9._-]+)\[[a-z,]+\]==", text(name), re.MULTILINE)
