"""The API as an application: the operators' is built on it, and commands on this host ask it in their own process."""

from __future__ import annotations

import datetime as dt

from apiflask import APIFlask

from pxeapp import __version__, config, templates, wiring
from pxeapp.api import (
    account,
    accounts,
    appliance,
    audit,
    bmc,
    bodies,
    breaker,
    checks,
    clouds,
    clusters,
    consoles,
    deployments,
    diffs,
    events,
    exports,
    given,
    guard,
    jobs,
    lists,
    machines,
    networks,
    openapi,
    power,
    problems,
    proxies,
    releases,
    reports,
    roles,
    rollouts,
    sightings,
    ssh,
    variables,
    webhooks,
)
from pxeapp.api import templates as template_api
from pxeapp.api.paging import RowNumber
from pxeapp.config import Settings

API = (
    jobs.bp, machines.bp, sightings.bp, power.bp, deployments.bp, diffs.bp, checks.bp, given.bp,
    releases.bp, roles.bp, networks.bp, clusters.bp, variables.bp, accounts.users, accounts.tokens, account.bp,
    audit.bp, appliance.bp, webhooks.bp, clouds.bp, events.bp, exports.bp, lists.bp, reports.bp,
    template_api.bp, bmc.bp, consoles.bp, rollouts.bp, breaker.bp, ssh.bp,
)  # fmt: skip


def create_api() -> APIFlask:
    """The API alone, as the commands on the appliance itself ask it: in their own process, and not counted."""
    app = application(config.load())
    for blueprint in API:
        app.register_blueprint(blueprint)
    return app


def application(settings: Settings) -> APIFlask:
    """An application with everything but its routes."""
    context = wiring.create_context(settings)
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
        PERMANENT_SESSION_LIFETIME=dt.timedelta(hours=context.settings.session_hours),
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
    return app
