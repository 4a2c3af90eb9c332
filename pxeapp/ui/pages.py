"""The pages: server-rendered; htmx fetches the parts that change, and morphs them so that focus and selection stay."""

from __future__ import annotations

from pxeapp.ui import (
    bulk,
    given,
    live,
    machine,
    machine_form,
    machine_import,
    machine_lists,
    machines,
    overview,
    preferences,
    racks,
    sightings,
    sign_in,
)
from pxeapp.ui.blueprint import bp

__all__ = [
    "bp", "bulk", "given", "live", "machine", "machine_form", "machine_import", "machine_lists", "machines",
    "overview", "preferences", "racks", "sightings", "sign_in",
]  # fmt: skip
