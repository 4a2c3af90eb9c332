"""The operators' application, as a list of steps; the machines' is in provisioning/node_app.py."""

from __future__ import annotations

from apiflask import APIFlask

from pxeapp import config
from pxeapp.api import health, limits, openapi
from pxeapp.config import Settings
from pxeapp.own_api import blueprints, create_application
from pxeapp.ui import pages


def create_app(settings: Settings | None = None) -> APIFlask:
    """The operators' application: API and pages."""
    app = create_application(settings or config.load())
    openapi.install(app)
    limits.install(app)
    for blueprint in (health.bp, *blueprints(), pages.bp):
        app.register_blueprint(blueprint)
    return app
