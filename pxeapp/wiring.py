"""The one place that decides which database, queue, vault and templates a process works with."""

from __future__ import annotations

from pxeapp.answers import site_templates
from pxeapp.api.context import Context
from pxeapp.appliance import clock
from pxeapp.commits import GroupCommit
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.provisioning import node_app
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.keeping import Keeper
from pxeapp.provisioning.netboot import Provisioner
from pxeapp.provisioning.node_http import Application
from pxeapp.provisioning.queue import Queue
from pxeapp.templates import Templates
from pxeapp.vault import open_vault


def create_provisioner(settings: Settings) -> Provisioner:
    """What the machine-facing processes (node, tftp, dhcp) work with."""
    database = Database(settings.database_url)
    clock.watch(database)
    site_templates.watch(database, settings.templates_dir)
    vault, templates = open_vault(settings.data_dir), Templates(settings.templates_dir)
    return Provisioner(settings, database, vault, templates, GroupCommit(database), Keeper(vault))


def create_context(settings: Settings) -> Context:
    """The same with a queue: what the API, the pages and the commands work with."""
    parts = create_provisioner(settings)
    queue, checker = Queue(settings.queue_url), Checker(settings, parts.vault, parts.templates)
    return Context(settings, parts.database, parts.vault, parts.templates, queue, checker)


def create_node_app(settings: Settings, *, behind_front: bool = False) -> Application:
    """The machines' application: boot scripts, answer files, callbacks, media. No operator route."""
    return node_app.create_node_app(create_provisioner(settings), Queue(settings.queue_url), behind_front=behind_front)
