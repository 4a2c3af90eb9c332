"""`pxeapp node`: the machines' HTTP."""

from __future__ import annotations

import functools

import click

from pxeapp import config, webserver, wiring

SOCKET = "node.sock"  # below the run directory; software/front/nginx.py's nginx talks to it


@click.command()
@click.option("--direct", is_flag=True, help="Listen on NODE_LISTEN itself, without nginx in front.")
def node(direct: bool) -> None:
    """The HTTP that machines talk to."""
    settings = config.load()
    bind = str(settings.node_listen) if direct else f"unix:{settings.run_dir / SOCKET}"
    webserver.run(functools.partial(wiring.create_node_app, settings, behind_front=not direct), bind=bind)
