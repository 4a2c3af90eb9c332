"""`pxeapp user` and `pxeapp token`."""

from __future__ import annotations

import click

from pxeapp import config
from pxeapp.accounts import service
from pxeapp.accounts.permissions import ROLES
from pxeapp.db import Database, now

ACTOR = "user:local"  # whoever may run this command on the appliance may read its database anyway


@click.group()
def user() -> None:
    """People who may sign in."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.password_option(help="Asked for when it is not given; prefer being asked.")
def user_add(name: str, role: str, password: str) -> None:
    """Add a user."""
    with Database(config.load().database_url).write() as session:
        service.create_user(session, name=name, role=role, password=password, actor=ACTOR, now=now())
    click.echo(f"{name} may sign in as {role}.")


@click.group()
def token() -> None:
    """Tokens for scripts."""


@token.command("create")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--name", default="cli", show_default=True, help="What it is for; shown in the audit log.")
def token_create(role: str, name: str) -> None:
    """Make an API token and print it, and nothing else."""
    with Database(config.load().database_url).write() as session:
        _, secret = service.create_token(session, name=name, role=role, actor=ACTOR, now=now())
    click.echo(secret)
