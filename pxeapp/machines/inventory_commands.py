"""`pxeapp inventory ansible`: Ansible's script interface, so that a two-line script is a dynamic inventory."""

from __future__ import annotations

import click

from pxeapp.client import appliance, at
from pxeapp.commandline import print_json


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
    own = appliance()
    print_json(
        own.get(at("inventory", "ansible", "hosts", host)) if host else own.get("/inventory/ansible", state=state)
    )
