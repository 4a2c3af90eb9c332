"""The API as an application: the operators' is built on it, and commands on this host ask it in their own process.

A command asks one or two things and ends, so it loads what answers these and nothing else: all of the API with what it
stands on takes some seconds of CPU to import, most of a listing's time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib import import_module

from apiflask import APIBlueprint, APIFlask

from pxeapp import __version__, config, wiring
from pxeapp.api import bodies, guard, problems, proxies
from pxeapp.api.context import Context
from pxeapp.api.paging import RowNumber
from pxeapp.config import Settings
from pxeapp.templates.sources import data_root

# Every blueprint of the API: `module:attribute` below pxeapp.api, and the beginnings of the addresses below /api/v1
# that it answers, where `*` stands for one word of anybody's. Of those that fit, the one with the most words decides;
# everything that names this one is loaded for it. To register a new blueprint, add its line here, and nothing else:
# - what answers below an address of another one (`machines/*/power`) spells out as many words as are its own;
# - what another one links to (`url_for("diffs.found")` in jobs.py) names that one's beginning as well: see diffs.
# tests/test_own_api.py asks for every route and every link through this table.
API: dict[str, tuple[str, ...]] = {
    "jobs:bp": ("jobs", "machines/bulk"),
    "machines:bp": ("machines",),
    "sightings:bp": ("sightings",),
    "power:bp": ("machines/*/power",),
    "deployments:bp": (
        "deployments", "machines/*/abort", "machines/*/deploy", "machines/*/explain", "machines/*/release",
        "machines/*/rendered",
    ),
    "diffs:bp": ("diff", "jobs", "machines/bulk"),
    "checks:bp": ("checks",),
    "given:bp": ("machines/*/given",),
    "releases:bp": ("releases",),
    "roles:bp": ("roles",),
    "networks:bp": ("networks",),
    "clusters:bp": ("clusters",),
    "variables:bp": ("variables", "machines/*/variables"),
    "accounts:users": ("users",),
    "accounts:tokens": ("tokens",),
    "account:bp": ("account",),
    "audit:bp": ("audit",),
    "appliance:bp": ("appliance",),
    "webhooks:bp": ("webhooks",),
    "clouds:bp": ("clouds",),
    "events:bp": ("events",),
    "exports:bp": ("inventory", "prometheus"),
    "lists:bp": ("filters", "machines.csv"),
    "reports:bp": ("reports",),
    "templates:bp": ("templates",),
    "bmc:bp": (
        "machines/*/bmc", "machines/*/boot-device", "machines/*/identify", "machines/*/sel", "machines/*/sensors",
    ),
    "consoles:bp": ("machines/*/console",),
    "rollouts:bp": ("rollouts",),
    "breaker:bp": ("breaker",),
    "ssh:bp": ("ssh", "machines/*/ssh"),
    "software.mirrors:bp": ("software/mirrors", "software/definitions"),
    "software.bundles:bp": ("software/bundles",),
    "software.channels:bp": ("software/channels",),
    "software.snapshots:bp": ("software/snapshots",),
    "software.media:bp": ("software/media",),
    "software.upstreams:bp": ("software/upstreams",),
    "software.tasks:bp": ("software/tasks", "software/clean"),
    "software.uploads:bp": ("software/uploads",),
    "software.repositories:bp": ("software/repositories", "software/signing-keys"),
}  # fmt: skip
PREFIX = "/api/v1"


class OwnApi:
    """The API alone, as the commands on the appliance itself ask it: in their own process, and not counted."""

    def __init__(self) -> None:
        self._context = wiring.create_context(config.load())
        self._made: dict[tuple[str, ...], APIFlask] = {}

    def answering(self, path: str) -> APIFlask:
        """An application that answers what is under this address of the API, and perhaps more."""
        names = wanted(path)
        if names not in self._made:
            app = self._made[names] = application(self._context)
            for name in names:
                app.register_blueprint(blueprint(name))
        return self._made[names]

    def close(self) -> None:
        """Close its database."""
        self._context.database.dispose()


def wanted(path: str) -> tuple[str, ...]:
    """The blueprints for an address, by the table; none for one that there is not."""
    words = path.strip("/").split("/")
    found: dict[int, list[str]] = {}
    for name, beginnings in API.items():
        for beginning in beginnings:
            said = beginning.split("/")
            if len(said) <= len(words) and all(ours in ("*", word) for ours, word in zip(said, words, strict=False)):
                found.setdefault(len(said), []).append(name)
    return tuple(found[max(found)]) if found else ()


def blueprint(name: str) -> APIBlueprint:
    """One of the table."""
    module, _, attribute = name.partition(":")
    found: APIBlueprint = getattr(import_module(f"pxeapp.api.{module}"), attribute)
    return found


def blueprints() -> Iterator[APIBlueprint]:
    """All of the table."""
    return map(blueprint, API)


def create_application(settings: Settings) -> APIFlask:
    """An application with everything but its routes."""
    context = wiring.create_context(settings)
    _ = context.queue, context.checker  # whoever serves makes them before the first request, which need not wait
    return application(context)


def application(context: Context) -> APIFlask:
    """The same over a database that is open already."""
    web = data_root() / "web"
    app = APIFlask(
        "pxeapp",
        title="pxeapp",
        version=__version__,
        spec_path=f"{PREFIX}/openapi.json",
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
    proxies.install(app, context.settings.trusted_proxies)
    bodies.install(app)
    guard.install(app)
    problems.install(app)
    app.url_map.converters["int"] = RowNumber
    return app
