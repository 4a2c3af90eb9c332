"""Packages in nginx's cache: where one lies, so that one that came wrong can be forgotten."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pxeapp.software.cache.configured import Configured


def place(folder: Path, known: Configured, path: str) -> Path:
    """Where nginx keeps what is at `path` below the upstream; see proxy_cache_key and levels in front/mirrors.py."""
    upstream = known.upstream
    key = f"{upstream.name} {upstream.authority}{upstream.path}/{path}"
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return folder / upstream.name / digest[-1] / digest[-3:-1] / digest


def forget(folder: Path, known: Configured, path: str) -> None:
    """Have it fetched again: nginx takes a file that has gone for one that it does not have."""
    place(folder, known, path).unlink(missing_ok=True)
