"""The names and networks that a machine is checked against before it is saved, as they are now."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import clusters, knowledge
from pxeapp.answers.models import Role
from pxeapp.config import Settings
from pxeapp.machines import service
from pxeapp.machines.service import Site
from pxeapp.provisioning.fitting import fitting
from pxeapp.software.models import Release
from pxeapp.templates import Templates
from pxeapp.vault import Vault


def known_site(session: Session, settings: Settings, templates: Templates, vault: Vault) -> Site:
    """The whole of it, read once."""
    return Site(
        roles=frozenset(session.scalars(select(Role.name))),
        releases=frozenset(session.scalars(select(Release.name))),
        networks=service.networks_known(session),
        bmc_networks=settings.bmc_networks,
        whole=fitting(session, templates, vault),
        clusters=clusters.names(session),
        variables=knowledge.rules(session, templates),
    )
