"""`pxeapp serve`: everything on one machine."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Mapping

import click

from pxeapp import config, migrations, supervisor
from pxeapp.accounts import service
from pxeapp.answers import roles, sealing
from pxeapp.config import Listen, Settings
from pxeapp.db import Database, now
from pxeapp.software.front import process as nginx
from pxeapp.supervisor.leftovers import Record
from pxeapp.supervisor.liveness import Address, answers_http
from pxeapp.supervisor.lock import only_one
from pxeapp.templates import Templates
from pxeapp.vault import open_vault

SYSTEM_PATH = "/usr/sbin:/sbin"  # where Debian puts daemons, and where a user's PATH does not look


@click.command()
def serve() -> None:
    """Run the whole appliance on this machine."""
    settings = config.load()
    open_vault(settings.data_dir)  # says what is wrong with the folder, before anything is made in it
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with only_one(settings.run_dir):
        sys.exit(_serve(settings))


def _serve(settings: Settings) -> int:
    record = Record(settings.run_dir / "serve.groups")
    if ended := record.end_all():
        click.echo(f"pxeapp: ended what an earlier pxeapp serve had left behind ({len(ended)} parts).")
    password = prepare(settings)
    front = shutil.which("nginx") is not None or shutil.which("nginx", path=SYSTEM_PATH) is not None
    click.echo(f"pxeapp: pages and API at http://{_shown(settings)}/   machines use {settings.node_url}")
    if password:
        click.echo(f"pxeapp: first start. Sign in as admin with this password, shown only now: {password}")
    if not front:
        click.echo("pxeapp: nginx is not installed: there is no package mirror, and big files go through Python.")
    sys.stdout.flush()
    parts = supervisor.parts(front=front, dhcp=settings.dhcp != "off", asked=_asked(settings, front=front))
    return supervisor.Supervisor(parts, record=record).run()


def _asked(settings: Settings, *, front: bool) -> Mapping[str, Callable[[], bool]]:
    """The parts that can be asked whether they are there.

    The others beat (processes/beating.py), or have a watchdog of their own: bmc-worker and console.
    """
    node: Address = nginx.node_socket(settings) if front else _here(settings.node_listen)
    found = {"web": functools.partial(answers_http, _here(settings.http_listen), "/healthz")}
    found["node"] = functools.partial(answers_http, node, "/healthz")
    if front:  # by what nginx answers itself: where node hangs, it is node that must go
        found["front"] = functools.partial(answers_http, _here(settings.node_listen), "/repo/")
    return found


def _here(listen: Listen) -> Address:
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return loopback.get(listen.host, listen.host), listen.port


def prepare(settings: Settings) -> str | None:
    """Everything that must be there before the first request: key, schema, roles, an administrator."""
    vault = open_vault(settings.data_dir)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.media_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    migrations.upgrade(database, copies=settings.backups_dir)
    said = settings.admin_password_file.read_text().strip() if settings.admin_password_file else None
    with database.write() as session:
        roles.ensure_builtin(session, now=now())
        sealing.seal_open_secrets(session, vault, Templates(settings.templates_dir), now=now())
        password = service.bootstrap(session, password=said, now=now())
    database.dispose()
    return password


def _shown(settings: Settings) -> str:
    host = settings.http_listen.host
    return f"{'localhost' if host in ('0.0.0.0', '::') else host}:{settings.http_listen.port}"  # noqa: S104
