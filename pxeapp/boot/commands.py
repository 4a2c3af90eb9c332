"""Commands of this capability: `pxeapp dhcp-snippet`, `pxeapp boot-programs`."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import click
from netaddr import valid_ipv4

from pxeapp import config
from pxeapp.boot import firmware, loaders, snippets
from pxeapp.config import Settings
from pxeapp.errors import Invalid


@click.command("dhcp-snippet")
@click.argument("server", type=click.Choice(list(snippets.SERVERS)))
@click.option("--tftp-address", default="", help="Where machines reach our TFTP; default: the host of PXEAPP_NODE_URL.")
@click.option("--secure-boot", is_flag=True, help="Give shim and the signed GRUB to every UEFI PXE client.")
def dhcp_snippet(server: str, tftp_address: str, *, secure_boot: bool) -> None:
    """Print what to add to your own DHCP SERVER so that machines boot from this appliance."""
    settings = config.load()
    text = snippets.render(
        server,
        node_url=settings.node_url,
        tftp_address=tftp_address or _tftp_address(settings),
        secure_boot=secure_boot,
    )
    click.echo(f"This goes into {snippets.SERVERS[server].where}.", err=True)
    click.echo(text, nl=False)


@click.command("boot-programs")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def boot_programs(*, as_json: bool) -> None:
    """List the boot programs, where they were found on this host, and the packages of those that are missing."""
    found = loaders.find(imported=config.load().data_dir / loaders.IMPORTED)
    rows = [
        {
            "name": loader.name,
            "path": str(found[loader.name]) if loader.name in found else None,
            "package": loader.package,
        }
        for loader in loaders.LOADERS
    ]
    if as_json:
        clients = [
            {"name": client.name, "architectures": client.architectures, "program": client.program}
            for client in firmware.CLIENTS
        ]
        click.echo(json.dumps({"items": rows, "clients": clients, "next": None}, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:<16} {row['path'] or 'missing: apt-get install ' + str(row['package'])}")


def _tftp_address(settings: Settings) -> str:
    """The address to name to clients: the one TFTP listens on, else the host of the node URL."""
    for host in (settings.tftp_listen.host, urlsplit(settings.node_url).hostname or ""):
        if valid_ipv4(host) and host != "0.0.0.0":  # noqa: S104 - compared, not bound
            return host
    raise Invalid(
        f"PXEAPP_NODE_URL is {settings.node_url}, which names no IPv4 address for TFTP.",
        hint="Give it with --tftp-address 10.0.0.1.",
    )
