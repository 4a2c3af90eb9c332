"""`pxeapp web`: the operators' HTTP."""

from __future__ import annotations

import functools

import click

from pxeapp import app, config, webserver


@click.command()
def web() -> None:
    """The operators' API and pages."""
    settings = config.load()
    webserver.run(functools.partial(app.create_app, settings), bind=str(settings.http_listen))
