"""`pxeapp observe` and `pxeapp resume`."""

from __future__ import annotations

import click

from pxeapp import config
from pxeapp.appliance import observing
from pxeapp.commandline import ACTOR
from pxeapp.db import Database, now


@click.command()
@click.option("--reason", default="An operator said so", show_default=True, help="Shown to everybody who is refused.")
def observe(reason: str) -> None:
    """Move nothing any more: no power command, no installer, no new deployment, until `pxeapp resume`."""
    with Database(config.load().database_url).write() as session:
        begun = observing.begin(session, reason=reason, actor=ACTOR, now=now())
    click.echo(begun.sentence)
    click.echo("What was sent already is still observed. To go on: pxeapp resume")


@click.command()
def resume() -> None:
    """Go on after a restore or after `pxeapp observe`: power commands, installers and new deployments."""
    with Database(config.load().database_url).write() as session:
        ended = observing.end(session, actor=ACTOR, now=now())
    click.echo("The appliance does its work again." if ended else "Nothing to do: it does its work already.")
