"""The pages that are reached from everywhere, as a table: each page adds its row. Nobody sees what they may not use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pxeapp.accounts.permissions import ADMIN, OPERATOR, VIEWER, verdict
from pxeapp.accounts.service import Actor
from pxeapp.ui.language import N_


@dataclass(frozen=True, slots=True)
class Entry:
    """One page: the endpoint that shows it, its label, and the least role that may look at it."""

    endpoint: str
    label: str
    least: str


ENTRIES: tuple[Entry, ...] = (
    Entry("ui.index", N_("Overview"), VIEWER),
    Entry("ui.machines", N_("Machines"), VIEWER),
    Entry("ui.rack_elevation", N_("Racks"), VIEWER),
    Entry("ui.sightings", N_("Seen but unknown"), VIEWER),
    Entry("ui.deployments", N_("Deployments"), VIEWER),
    Entry("ui.rollouts", N_("Rollouts"), VIEWER),
    Entry("ui.catalogue", N_("Networks, releases, roles"), VIEWER),
    Entry("ui.software", N_("Software"), VIEWER),
    Entry("ui.templates_page", N_("Templates"), OPERATOR),
    Entry("ui.reports_page", N_("Reports"), VIEWER),
    Entry("ui.settings", N_("Settings and doctor"), ADMIN),
    Entry("ui.users", N_("Users and tokens"), ADMIN),
    Entry("ui.audit", N_("Audit"), ADMIN),
    Entry("ui.account", N_("Your account"), VIEWER),
)


def entries(actor: Actor | None) -> Iterator[Entry]:
    """What somebody may go to, in the order of the table."""
    return (entry for entry in ENTRIES if actor is not None and not verdict(actor, entry.endpoint))
