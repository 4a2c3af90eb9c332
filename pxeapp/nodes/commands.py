"""`pxeapp ssh`: by which host keys machines are known, and the appliance's own key."""

from __future__ import annotations

from typing import IO, Any

import click

from pxeapp.client import appliance, at
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, yes
from pxeapp.errors import Invalid

HEAD = ("KIND", "FINGERPRINT", "FROM", "SINCE")


@click.group()
def ssh() -> None:
    """How the appliance gets into installed machines."""


@ssh.command("key")
@as_json
def key(as_json: bool) -> None:
    """Print the line that lets the appliance in, for an authorized_keys."""
    found = appliance().get("/ssh/key")
    if as_json:
        print_json(found)
    else:
        click.echo(found["key"])


@ssh.command("show")
@click.argument("machine")
@as_json
def show(machine: str, as_json: bool) -> None:
    """Show by which host keys MACHINE is known, and where it is."""
    _print(appliance().get(at("machines", machine, "ssh")), as_json=as_json)


@ssh.command("record")
@click.argument("machine")
@click.option("--file", type=click.File("r"), default="-", help="Its ssh_host_*_key.pub files; - reads them from here.")
@click.option("--address", default="", help="Where it is, when its interfaces do not say so.")
@click.option("--port", type=click.IntRange(1, 65535), default=22, show_default=True)
@click.option("--user", default="", help="Who the appliance signs in as; left out: pxeapp.")
@as_json
def record(machine: str, file: IO[str], address: str, port: int, user: str, as_json: bool) -> None:
    """Pin host keys that were read on MACHINE itself; they take the place of those that were known."""
    lines = [line.strip() for line in file.read(64 * 1024).splitlines() if line.strip()]
    if not lines:
        raise Invalid("There is no key in it.", hint="On the machine: cat /etc/ssh/ssh_host_*_key.pub")
    said = {"host_keys": lines, "address": address, "port": port, "username": user}
    _print(appliance().post(at("machines", machine, "ssh"), said), as_json=as_json)


@ssh.command("forget")
@click.argument("machine")
@yes
def forget(machine: str, yes: bool) -> None:
    """Forget the host keys of MACHINE: nothing is sent to it until it reports some, or somebody records them."""
    agree(f"Nothing can be run on {machine} by ssh afterwards.", yes=yes)
    appliance().delete(at("machines", machine, "ssh"))


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    where = found["address"] or "no address is known"
    click.echo(f"{found['machine']}: {found['username']} at {where} port {found['port']}")
    if not found["host_keys"]:
        click.echo("No host key is known.")
        return
    rows = [
        (each["kind"], each["fingerprint"], found["keys_from"], moment(found["keys_at"])) for each in found["host_keys"]
    ]
    print_table(HEAD, rows)
