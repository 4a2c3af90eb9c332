"""`pxeapp db`."""

from __future__ import annotations

import click

from pxeapp import config, migrations
from pxeapp.answers import roles, sealing
from pxeapp.db import Database, now
from pxeapp.templates import Templates
from pxeapp.vault import open_vault


@click.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema to this version of pxeapp; safe to repeat."""
    settings = config.load()
    database = Database(settings.database_url)
    before, after = migrations.upgrade(database, copies=settings.backups_dir)
    templates = Templates(settings.templates_dir)
    with database.write() as session:
        roles.ensure_builtin(session, now=now())
        sealing.seal_open_secrets(session, open_vault(settings.data_dir), templates, now=now())
    click.echo(
        f"The schema is at {after}." if before == after else f"The schema went from {before or 'empty'} to {after}."
    )
