"""What a request handler needs, in one object made by app.py; and who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app, g
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.accounts.service import Actor
from pxeapp.answers import clusters, knowledge
from pxeapp.answers.models import Role
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.machines import service
from pxeapp.machines.service import Site
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.fitting import fitting
from pxeapp.provisioning.queue import Queue
from pxeapp.software.models import Release
from pxeapp.templates import Templates
from pxeapp.vault import Vault


@dataclass(frozen=True, slots=True)
class Context:
    """Made once per process."""

    settings: Settings
    database: Database
    vault: Vault
    templates: Templates
    queue: Queue
    checker: Checker


def context() -> Context:
    """The running application's context."""
    return cast(Context, current_app.extensions["pxeapp"])


def actor() -> Actor:
    """Who is asking; set by the guard before any handler runs."""
    return cast(Actor, g.actor)


def site(session: Session) -> Site:
    """The names and networks that machines are checked against, as they are now."""
    return known_site(session, context().settings, context().templates)


def known_site(session: Session, settings: Settings, templates: Templates) -> Site:
    """The same outside a request."""
    return Site(
        roles=frozenset(session.scalars(select(Role.name))),
        releases=frozenset(session.scalars(select(Release.name))),
        networks=service.networks_known(session),
        bmc_networks=settings.bmc_networks,
        whole=fitting(session, templates),
        clusters=clusters.names(session),
        variables=knowledge.rules(session, templates),
    )
