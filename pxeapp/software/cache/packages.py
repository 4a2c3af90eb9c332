"""Packages in nginx's cache: where one lies, so that what came wrong can be forgotten.

nginx takes a file that has gone for one that it does not have, and fetches it anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pxeapp.software import upstreams
from pxeapp.software.cache.configured import Configured

_KEY = re.compile(rb"\nKEY: (?P<key>[^\n]+)\n")
_HEAD = 4096  # nginx writes the key into the file's beginning
_NAME = re.compile(r"[0-9a-f]{32}")  # what is being fetched has a number behind it


def place(folder: Path, known: Configured, path: str) -> Path:
    """Where nginx keeps what is at `path` below the upstream; see levels in front/mirrors.py."""
    digest = hashlib.md5(f"{_prefix(known)}{path}".encode(), usedforsecurity=False).hexdigest()
    return folder / known.name / digest[-1] / digest[-3:-1] / digest


def forget(folder: Path, known: Configured, path: str) -> list[int]:
    """Have what is at `path` below the upstream fetched again; returns the sizes of what went."""
    return _gone(place(folder, known, path))


def forget_below(folder: Path, known: Configured, means: Callable[[str], bool]) -> list[int]:
    """Have everything fetched again whose path below the upstream is meant; returns the sizes of what went."""
    prefix, found = _prefix(known), list[int]()
    for each in _all(folder / known.name):
        key = _key(each)
        if key.startswith(prefix) and means(key[len(prefix) :]):
            found += _gone(each)
    return found


def forget_all(folder: Path, known: Configured) -> list[int]:
    """Have everything fetched again, and what came from the upstream's former addresses thrown away."""
    return [size for each in _all(folder / known.name) for size in _gone(each)]


def _prefix(known: Configured) -> str:
    """What a key begins with; see proxy_cache_key and levels in front/mirrors.py."""
    upstream = upstreams.behind_door(known.upstream, "") if known.upstream.proxy else known.upstream
    return f"{upstream.name} {upstream.authority}{upstream.path}/"


def _all(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("[0-9a-f]/[0-9a-f][0-9a-f]/*") if _NAME.fullmatch(path.name))


def _key(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = _KEY.search(file.read(_HEAD))
    except FileNotFoundError:
        return ""
    return found["key"].decode("utf-8", "replace") if found else ""


def _gone(path: Path) -> list[int]:
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return []
    return [size]
