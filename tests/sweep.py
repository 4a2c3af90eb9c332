"""Sweeps have two sizes: a short one in `make test`, the whole one in `make soak` (PXEAPP_SOAK=1)."""

from __future__ import annotations

import os

# Taken out: the product's own processes, which inherit the rest, refuse a setting that they do not know.
FULL = os.environ.pop("PXEAPP_SOAK", "") == "1"


def size(short: int, full: int) -> int:
    """How many points, machines or seconds this run takes."""
    return full if FULL else short
