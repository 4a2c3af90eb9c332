"""`pxeapp inventory ansible`: Ansible's script interface, so that a two-line script is a dynamic inventory."""

from __future__ import annotations

import json

import click

from pxeapp import config
from pxeapp.db import Database
from pxeapp.machines import ansible as inventories
from pxeapp.machines.selectors import Filter


@click.group()
def inventory() -> None:
    """Machines as other tools read them."""


@inventory.command()
@click.option("--list", "whole", is_flag=True, help="All hosts, with their groups and variables.")
@click.option("--host", default="", help="The variables of one host.")
@click.option("--state", default="", help="Only machines in this state.")
def ansible(whole: bool, host: str, state: str) -> None:
    """Ansible's dynamic inventory, as JSON."""
    if whole == bool(host):
        raise click.UsageError("Say --list or --host NAME, as Ansible does.")
    database = Database(config.load().database_url)
    try:
        with database.read() as session:
            found = inventories.host(session, host) if host else inventories.inventory(session, Filter(state=state))
    finally:
        database.dispose()
    click.echo(json.dumps(found, indent=2))
