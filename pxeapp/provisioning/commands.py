"""`pxeapp render`: what a machine is given, tokens masked."""

from __future__ import annotations

import click

from pxeapp import config
from pxeapp.db import Database
from pxeapp.machines import selectors
from pxeapp.provisioning import rendered
from pxeapp.templates import Templates


@click.command()
@click.argument("machine")
@click.option("--kind", default="", help="ipxe, grub, pxelinux, kickstart, preseed, script; all when left out.")
def render(machine: str, kind: str) -> None:
    """Print the boot scripts and answer files of a MACHINE, tokens masked."""
    settings = config.load()
    with Database(settings.database_url).read() as session:
        row = selectors.get(session, machine)
        files = rendered.rendered(session, settings, Templates(settings.templates_dir), row, kind=kind)
    for file in files:
        if not kind:
            click.echo(f"==> {file['kind']} <==")
        click.echo(file["text"])
