"""What a request handler needs, in one object made by app.py; and who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app, g
from sqlalchemy.orm import Session

from pxeapp.accounts.service import Actor
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.machines.service import Site
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.queue import Queue
from pxeapp.provisioning.sites import known_site
from pxeapp.templates import Templates
from pxeapp.vault import Vault

__all__ = ["Context", "actor", "context", "known_site", "site"]


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
