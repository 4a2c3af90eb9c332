"""Packages that an older version of this program cached for all upstreams in one place: each goes to its upstream's."""

from __future__ import annotations

import re
from pathlib import Path

_KEY = re.compile(rb"\nKEY: (?P<name>[a-z0-9-]{1,32}) ")
_HEAD = 4096


def adopt(folder: Path) -> int:
    """Move files from `folder`/X/YZ to `folder`/NAME/X/YZ by the key that nginx wrote into them; returns how many."""
    moved = 0
    for old in [each for each in folder.glob("[0-9a-f]") if each.is_dir()]:
        for path in old.glob("[0-9a-f][0-9a-f]/*"):
            with path.open("rb") as file:
                found = _KEY.search(file.read(_HEAD))
            if found is None or not re.fullmatch(r"[0-9a-f]{32}", path.name):
                path.unlink()
                continue
            target = folder / found["name"].decode() / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            moved += 1
        for each in (*old.glob("*"), old):
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
    return moved
