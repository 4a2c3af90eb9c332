"""Commands of what machines ask first: `pxeapp front`, and `pxeapp mirror-door`, which it may fetch through."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType

import click

from pxeapp import config
from pxeapp.software.door import Door
from pxeapp.software.front import httpd, nginx_site, process
from pxeapp.software.front.spec import Site
from pxeapp.software.upstreams import configured

SITES = {"nginx": nginx_site.render, "httpd": httpd.render}
LOGS = {"nginx": Path("/var/log/nginx"), "httpd": Path("/var/log/apache2")}


@click.group(invoke_without_command=True)
@click.pass_context
def front(ctx: click.Context) -> None:
    """Serve machines on NODE_LISTEN with nginx: media, repositories, the package mirror; the rest goes to `node`."""
    if ctx.invoked_subcommand is None:
        process.run(config.load())


@front.command("config")
@click.option("--for", "program", type=click.Choice(sorted(SITES)), required=True, help="Which server of yours.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Default: 80, or 443 with TLS.")
@click.option("--name", default="", help="As machines call it: pxe.example.org.")
@click.option("--tls", nargs=2, type=click.Path(path_type=Path), metavar="CERTIFICATE KEY", default=None)
@click.option("--logs", type=click.Path(path_type=Path), default=None, help="A folder for its logs.")
def front_config(program: str, port: int | None, name: str, tls: tuple[Path, Path] | None, logs: Path | None) -> None:
    """Print the configuration of a server of your own in front of this appliance; see docs/software.md."""
    described = process.describe(config.load(), {}, as_root=False)
    certificate, key = tls if tls is not None else (None, None)
    port = port or (443 if tls else 80)
    site = Site(described, port, logs or LOGS[program], name, certificate, key)
    click.echo(SITES[program](site), nl=False)


@click.command("mirror-door")
@click.option("--listen", required=True, type=click.Path(path_type=Path), help="The unix socket to listen on.")
def mirror_door(listen: Path) -> None:
    """Relay package downloads for an appliance without a route out, over a unix socket, to known mirrors only."""
    known = configured(config.load())
    with Door(listen, known) as door:
        for name, upstream in known.items():
            click.echo(f"/{name} leads to {upstream}")
        if not known:
            click.echo("No mirror is known; set PXEAPP_MIRROR_UPSTREAMS=debian=http://YOUR-MIRROR/debian", err=True)

        def end(_number: int, _frame: FrameType | None) -> None:
            # shutdown() waits for serve_forever(), which this very thread is in.
            threading.Thread(target=door.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        door.serve_forever()
