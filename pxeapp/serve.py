"""`pxeapp serve` and the commands of each part: where settings become running processes."""

from __future__ import annotations

import functools
import logging
import shutil
import signal
import sys
import threading
from types import FrameType

import click

from pxeapp import app, config, migrations, supervisor, webserver
from pxeapp.accounts import service
from pxeapp.answers import roles
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import ConfigError
from pxeapp.provisioning.dhcp_process import DhcpProcess
from pxeapp.provisioning.tftp_process import TftpProcess
from pxeapp.provisioning.worker import Worker
from pxeapp.vault import open_vault

SYSTEM_PATH = "/usr/sbin:/sbin"  # where Debian puts daemons, and where a user's PATH does not look
NODE_SOCKET = "node.sock"  # below the run directory; software/mirror.py's nginx talks to it


@click.command()
def serve() -> None:
    """Run the whole appliance on this machine."""
    settings = config.load()
    password = prepare(settings)
    front = shutil.which("nginx") is not None or shutil.which("nginx", path=SYSTEM_PATH) is not None
    click.echo(f"pxeapp: pages and API at http://{_shown(settings)}/   machines use {settings.node_url}")
    if password:
        click.echo(f"pxeapp: first start. Sign in as admin with this password, shown only now: {password}")
    if not front:
        click.echo("pxeapp: nginx is not installed: there is no package mirror, and big files go through Python.")
    sys.stdout.flush()
    sys.exit(supervisor.Supervisor(supervisor.parts(front=front, dhcp=settings.dhcp != "off")).run())


@click.command()
def web() -> None:
    """The operators' API and pages."""
    settings = config.load()
    webserver.run(functools.partial(app.create_app, settings), bind=str(settings.http_listen))


@click.command()
@click.option("--direct", is_flag=True, help="Listen on NODE_LISTEN itself, without nginx in front.")
def node(direct: bool) -> None:
    """The HTTP that machines talk to."""
    settings = config.load()
    bind = str(settings.node_listen) if direct else f"unix:{settings.run_dir / NODE_SOCKET}"
    webserver.run(functools.partial(app.create_node_app, settings, behind_front=not direct), bind=bind)


@click.command()
def worker() -> None:
    """The reconciler: takes deployments from step to step."""
    _logging()
    Worker(config.load()).run()


@click.command()
def tftp() -> None:
    """The TFTP server for boot loaders."""
    _logging()
    TftpProcess(app.create_provisioner(config.load())).run(_stop_event())


@click.command()
def dhcp() -> None:
    """dnsmasq, configured from our networks and machines."""
    _logging()
    settings = config.load()
    if settings.dhcp == "off":
        raise ConfigError("PXEAPP_DHCP is off, so there is no DHCP to run.", hint="Use proxy or full.")
    DhcpProcess(app.create_provisioner(settings)).run(_stop_event())


def prepare(settings: Settings) -> str | None:
    """Everything that must be there before the first request: key, schema, roles, an administrator."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.media_dir.mkdir(parents=True, exist_ok=True)
    open_vault(settings.data_dir)
    database = Database(settings.database_url)
    migrations.upgrade(database)
    said = settings.admin_password_file.read_text().strip() if settings.admin_password_file else None
    with database.write() as session:
        roles.ensure_builtin(session)
        password = service.bootstrap(session, password=said, now=now())
    database.dispose()
    return password


def _stop_event() -> threading.Event:
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop


def _logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("huey").setLevel(logging.WARNING)


def _shown(settings: Settings) -> str:
    host = settings.http_listen.host
    return f"{'localhost' if host in ('0.0.0.0', '::') else host}:{settings.http_listen.port}"  # noqa: S104
