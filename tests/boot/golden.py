"""Golden files: whole outputs, compared; `PXEAPP_GOLDEN=1` rewrites them, and the difference is read in review."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check(name: str, text: str, folder: Path = FOLDER) -> None:
    """Compare with the golden file, or write it."""
    path = folder / name
    if os.environ.get("PXEAPP_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"no golden file {path}; write it with PXEAPP_GOLDEN=1"
    assert text == path.read_text()
