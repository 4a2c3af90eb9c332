"""The one place that decides which database, queue, vault and templates a process works with.

What a process works with is imported by the function that makes it: commands on this host go through here as well, and
most of them need a database and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pxeapp.answers import site_templates
from pxeapp.api.context import Context
from pxeapp.appliance import clock
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.templates import Templates
from pxeapp.vault import open_vault

if TYPE_CHECKING:  # cost: see above
    from pxeapp.provisioning.checking import Checker
    from pxeapp.provisioning.netboot import Provisioner
    from pxeapp.provisioning.node_http import Application
    from pxeapp.provisioning.queue import Queue


def create_provisioner(settings: Settings) -> Provisioner:
    """What the machine-facing processes (node, tftp, dhcp) work with."""
    from pxeapp.commits import GroupCommit
    from pxeapp.provisioning.keeping import Keeper
    from pxeapp.provisioning.netboot import Provisioner

    database = _database(settings)
    vault, templates = open_vault(settings.data_dir), Templates(settings.templates_dir)
    return Provisioner(settings, database, vault, templates, GroupCommit(database), Keeper(vault))


def create_context(settings: Settings) -> Context:
    """What the API, the pages and the commands work with."""
    database = _database(settings)
    vault, templates = open_vault(settings.data_dir), Templates(settings.templates_dir)

    def queue() -> Queue:
        from pxeapp.provisioning.queue import Queue

        return Queue(settings.queue_url)

    def checker() -> Checker:
        from pxeapp.provisioning.checking import Checker

        return Checker(settings, vault, templates)

    return Context(settings, database, vault, templates, queue, checker)


def create_node_app(settings: Settings, *, behind_front: bool = False) -> Application:
    """The machines' application: boot scripts, answer files, callbacks, media. No operator route."""
    from pxeapp.provisioning import node_app
    from pxeapp.provisioning.queue import Queue

    return node_app.create_node_app(create_provisioner(settings), Queue(settings.queue_url), behind_front=behind_front)


def _database(settings: Settings) -> Database:
    database = Database(settings.database_url)
    clock.watch(database)
    site_templates.watch(database, settings.templates_dir)
    return database
