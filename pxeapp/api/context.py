"""What a request handler needs, in one object made by app.py; and who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from flask import current_app, g
from sqlalchemy.orm import Session

from pxeapp.accounts.actor import Actor
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.templates import Templates
from pxeapp.vault import Vault

if TYPE_CHECKING:  # cost: see Context
    from pxeapp.machines.service import Site
    from pxeapp.provisioning.checking import Checker
    from pxeapp.provisioning.queue import Queue
    from pxeapp.rollouts.reaching import Reaching


@dataclass(frozen=True)
class Context:
    """Made once per process.

    The queue and the checker stand on most of the product and are made when they are first asked for: a command on this
    host that lists something needs neither, and importing them would take longer than all the rest of it.
    """

    settings: Settings
    database: Database
    vault: Vault
    templates: Templates
    make_queue: Callable[[], Queue]
    make_checker: Callable[[], Checker]

    @cached_property
    def queue(self) -> Queue:
        """Hints for the workers."""
        return self.make_queue()

    @cached_property
    def reaching(self) -> Reaching:
        """Whether what a rollout names lets us in."""
        from pxeapp.clouds.directory import Clouds
        from pxeapp.clouds.sign_ins import SignIns
        from pxeapp.nodes.reach import Nodes
        from pxeapp.rollouts.reaching import Reaching

        clouds = Clouds(self.database, self.vault, self.settings.rollout_networks)
        sign_ins = SignIns(self.database, self.vault, clouds)
        return Reaching(self.database, sign_ins, Nodes(self.database, self.vault))

    @cached_property
    def checker(self) -> Checker:
        """What looks at files before a machine is given them."""
        return self.make_checker()


def context() -> Context:
    """The running application's context."""
    return cast(Context, current_app.extensions["pxeapp"])


def actor() -> Actor:
    """Who is asking; set by the guard before any handler runs."""
    return cast(Actor, g.actor)


def site(session: Session) -> Site:
    """The names and networks that machines are checked against, as they are now."""
    from pxeapp.provisioning.sites import known_site  # cost: only who saves a machine needs all that roles stand on

    return known_site(session, context().settings, context().templates, context().vault)
