"""`pxeapp serve`: everything on one machine."""

from __future__ import annotations

import shutil
import sys

import click

from pxeapp import config, migrations, supervisor
from pxeapp.accounts import service
from pxeapp.answers import roles
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.vault import open_vault

SYSTEM_PATH = "/usr/sbin:/sbin"  # where Debian puts daemons, and where a user's PATH does not look


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


def prepare(settings: Settings) -> str | None:
    """Everything that must be there before the first request: key, schema, roles, an administrator."""
    open_vault(settings.data_dir)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.media_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    migrations.upgrade(database, copies=settings.backups_dir)
    said = settings.admin_password_file.read_text().strip() if settings.admin_password_file else None
    with database.write() as session:
        roles.ensure_builtin(session)
        password = service.bootstrap(session, password=said, now=now())
    database.dispose()
    return password


def _shown(settings: Settings) -> str:
    host = settings.http_listen.host
    return f"{'localhost' if host in ('0.0.0.0', '::') else host}:{settings.http_listen.port}"  # noqa: S104
