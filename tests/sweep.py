"""Sweeps have two sizes: a short one in `make test`, the whole one in `make soak` (PXEAPP_SOAK=1)."""

from __future__ import annotations

import os

FULL = os.environ.get("PXEAPP_SOAK") == "1"


def size(short: int, full: int) -> int:
    """How many points, machines or seconds this run takes."""
    return full if FULL else short
