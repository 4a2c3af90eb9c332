"""The two applications, each a list of steps: the operators' on HTTP_LISTEN, the machines' on NODE_LISTEN."""

from __future__ import annotations

import datetime as dt

from apiflask import APIFlask
from flask import Flask

from pxeapp import __version__, config, templates
from pxeapp.api import (
    accounts,
    bodies,
    deployments,
    guard,
    health,
    machines,
    networks,
    openapi,
    power,
    problems,
    proxies,
    releases,
    roles,
    sightings,
)
from pxeapp.api.context import Context
from pxeapp.api.paging import RowNumber
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.provisioning.netboot import Provisioner
from pxeapp.provisioning.node_app import create_node_app as node_app
from pxeapp.provisioning.queue import Queue
from pxeapp.templates import Templates
from pxeapp.ui import pages
from pxeapp.vault import open_vault

SESSION_LIFETIME = dt.timedelta(hours=12)
BLUEPRINTS = (
    health.bp, machines.bp, sightings.bp, power.bp, deployments.bp, releases.bp, roles.bp, networks.bp,
    accounts.users, accounts.tokens, accounts.audit, pages.bp,
)  # fmt: skip


def create_app(settings: Settings | None = None) -> APIFlask:
    """The operators' application: API and pages."""
    context = create_context(settings or config.load())
    web = templates.data_root() / "web"
    app = APIFlask(
        "pxeapp",
        title="pxeapp",
        version=__version__,
        spec_path="/api/v1/openapi.json",
        docs_path=None,
        json_errors=False,  # ours are problem+json, see problems.py
        static_folder=None,  # type: ignore[arg-type]  # ours are served by ui.asset, which has a permission
        template_folder=str(web / "templates"),
    )
    app.extensions["pxeapp"] = context
    app.config.update(
        SECRET_KEY=context.vault.derive("session"),
        MAX_CONTENT_LENGTH=bodies.MAX_BODY,
        PERMANENT_SESSION_LIFETIME=SESSION_LIFETIME,
        SESSION_COOKIE_NAME="pxeapp_session",  # cookies know no ports: another program here may have a "session"
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WEB_FOLDER=web,
    )
    openapi.install(app)
    proxies.install(app, context.settings.trusted_proxies)
    bodies.install(app)
    guard.install(app)
    problems.install(app)
    app.url_map.converters["int"] = RowNumber
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def create_node_app(settings: Settings | None = None, *, behind_front: bool = False) -> Flask:
    """The machines' application: boot scripts, answer files, callbacks, media. No operator route."""
    settings = settings or config.load()
    return node_app(create_provisioner(settings), Queue(settings.queue_url), behind_front=behind_front)


def create_provisioner(settings: Settings) -> Provisioner:
    """What the machine-facing processes (node, tftp, dhcp) work with."""
    context = create_context(settings)
    return Provisioner(settings, context.database, context.vault, context.templates)


def create_context(settings: Settings) -> Context:
    """What the API, the pages and the commands work with."""
    return Context(
        settings=settings,
        database=Database(settings.database_url),
        vault=open_vault(settings.data_dir),
        templates=Templates(settings.templates_dir),
        queue=Queue(settings.queue_url),
    )
