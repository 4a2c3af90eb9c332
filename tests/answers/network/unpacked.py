"""Programs from Debian packages that are not installed: NetworkManager would take the tester's network over."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest


def package(name: str) -> Path:
    """The package, unpacked; skips where there is none to be had."""
    found = _unpacked(name)
    if found is None:
        pytest.skip(f"the package {name} cannot be fetched from here")
    return found


@cache
def _unpacked(name: str) -> Path | None:
    if shutil.which("apt-get") is None:
        return None
    scratch = Path(tempfile.mkdtemp(prefix="pxeapp-unpacked-"))
    try:
        subprocess.run(["apt-get", "download", name], cwd=scratch, check=True, capture_output=True, timeout=120)
        (file,) = scratch.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", file, scratch / "root"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError, ValueError):
        shutil.rmtree(scratch, ignore_errors=True)
        return None
    return scratch / "root"
