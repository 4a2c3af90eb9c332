"""The pages: server-rendered; htmx fetches the parts that change, and morphs them so that focus and selection stay."""

from __future__ import annotations

from pxeapp.ui import (
    bulk,
    consoles,
    deployments,
    given,
    live,
    machine,
    machine_actions,
    machine_edit,
    machine_form,
    machine_import,
    machine_lists,
    machines,
    overview,
    preferences,
    racks,
    reports,
    settings,
    sightings,
    sign_in,
    templates,
)
from pxeapp.ui.blueprint import bp

__all__ = [
    "bp", "bulk", "consoles", "deployments", "given", "live", "machine", "machine_actions", "machine_edit",
    "machine_form", "machine_import", "machine_lists", "machines", "overview", "preferences", "racks",
    "reports", "settings", "sightings", "sign_in", "templates",
]  # fmt: skip
