"""`pxeapp observe` and `pxeapp resume`, here and on an appliance elsewhere."""

from __future__ import annotations

import click

from pxeapp.client import appliance


@click.command()
@click.option("--reason", default="An operator said so", show_default=True, help="Shown to everybody who is refused.")
def observe(reason: str) -> None:
    """Move nothing any more: no power command, no installer, no new deployment, until `pxeapp resume`."""
    click.echo(appliance().post("/appliance/observe", {"reason": reason})["observing"]["sentence"])
    click.echo("What was sent already is still observed. To go on: pxeapp resume")


@click.command()
def resume() -> None:
    """Go on after a restore or after `pxeapp observe`: power commands, installers and new deployments."""
    own = appliance()
    held = own.get("/appliance")["observing"] is not None
    own.post("/appliance/resume")
    click.echo("The appliance does its work again." if held else "Nothing to do: it does its work already.")
