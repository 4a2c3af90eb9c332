"""The pages: server-rendered; htmx fetches the parts that change, and morphs them so that focus and selection stay."""

from __future__ import annotations

from pxeapp.ui import (
    account,
    assets,
    audit,
    bulk,
    catalogue,
    catalogue_versions,
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
    oidc,
    overview,
    preferences,
    racks,
    reports,
    rollout_controls,
    rollout_plan,
    rollouts,
    second_factor,
    settings,
    sightings,
    sign_in,
    templates,
    users,
)
from pxeapp.ui.blueprint import bp
from pxeapp.ui.software import bundles as software_bundles
from pxeapp.ui.software import cache as software_cache
from pxeapp.ui.software import media as software_media
from pxeapp.ui.software import mirrors as software_mirrors
from pxeapp.ui.software import repositories as software_repositories
from pxeapp.ui.software import snapshots as software_snapshots
from pxeapp.ui.software import tabs as software_tabs
from pxeapp.ui.software import tasks as software_tasks

__all__ = [
    "account", "assets", "audit", "bp", "bulk", "catalogue", "catalogue_versions", "consoles", "deployments",
    "given", "live", "machine", "machine_actions", "machine_edit", "machine_form", "machine_import",
    "machine_lists", "machines", "oidc", "overview", "preferences", "racks", "reports", "rollout_controls",
    "rollout_plan", "rollouts", "second_factor", "settings", "sightings", "sign_in", "software_bundles",
    "software_cache", "software_media", "software_mirrors", "software_repositories", "software_snapshots",
    "software_tabs", "software_tasks", "templates", "users",
]  # fmt: skip
