"""The tabs of the software pages, as a table: each part adds its row. Nobody sees what they may not use."""

from __future__ import annotations

from collections.abc import Iterator

from pxeapp.accounts.permissions import VIEWER, verdict
from pxeapp.api.context import actor
from pxeapp.ui.blueprint import bp
from pxeapp.ui.language import N_
from pxeapp.ui.navigation import Entry

TABS: tuple[Entry, ...] = (
    Entry("ui.software", N_("At work"), VIEWER),
    Entry("ui.media", N_("Media"), VIEWER),
    Entry("ui.mirrors", N_("Mirrors"), VIEWER),
    Entry("ui.repositories", N_("Repositories"), VIEWER),
    Entry("ui.upstreams", N_("Cache"), VIEWER),
    Entry("ui.snapshots", N_("Snapshots"), VIEWER),
    Entry("ui.bundles", N_("Bundles"), VIEWER),
)  # fmt: skip


@bp.app_template_global("software_tabs")
def tabs() -> Iterator[Entry]:
    """Those that whoever looks may open."""
    return (each for each in TABS if not verdict(actor(), each.endpoint))
