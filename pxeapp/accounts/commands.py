"""`pxeapp user` and `pxeapp token`: on the appliance itself, through the same functions as the API and the pages."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from sqlalchemy import select

from pxeapp import config
from pxeapp.accounts import passwords, service, sessions, tokens
from pxeapp.accounts.models import ApiToken, User
from pxeapp.accounts.permissions import ROLES
from pxeapp.commandline import ACTOR, as_json
from pxeapp.db import Database, now

only_projects = click.option(
    "--project", "projects", multiple=True, help="Only machines of this project; may be given more than once."
)


@click.group()
def user() -> None:
    """People who may sign in."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@only_projects
@click.option("--one-time", is_flag=True, help="Print a one-time password instead of asking for one.")
@click.option("--password", help="Asked for when it is not given; prefer being asked.")
def user_add(name: str, role: str, projects: tuple[str, ...], one_time: bool, password: str | None) -> None:
    """Add a user."""
    if one_time:
        password = passwords.one_time()
    elif password is None:
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    with _database().write() as session:
        service.create_user(
            session, name=name, role=role, password=password, projects=list(projects) or None, one_time=one_time,
            actor=ACTOR, now=now(),
        )  # fmt: skip
    click.echo(password if one_time else f"{name} may sign in as {role}.")


@user.command("list")
@as_json
def user_list(as_json: bool) -> None:
    """List users."""
    with _database().read() as session:
        rows = [service.shown(row) for row in session.scalars(select(User).order_by(User.name))]
    _show(("name", "role", "projects", "disabled", "second_factor", "source", "last_sign_in_at"), rows, as_json)


@user.command("disable")
@click.argument("name")
def user_disable(name: str) -> None:
    """Close an account: every session and token of it ends at once."""
    with _database().write() as session:
        service.change_user(session, name, disabled=True, actor=ACTOR, now=now())
    click.echo(f"{name} is disabled.")


@user.command("enable")
@click.argument("name")
def user_enable(name: str) -> None:
    """Open a closed account again."""
    with _database().write() as session:
        service.change_user(session, name, disabled=False, actor=ACTOR, now=now())
    click.echo(f"{name} may sign in again.")


@user.command("change")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default=None)
@only_projects
@click.option("--all-projects", is_flag=True, help="All machines again.")
def user_change(name: str, role: str | None, projects: tuple[str, ...], all_projects: bool) -> None:
    """Change a user's role or projects."""
    more: dict[str, Any] = {"projects": list(projects) or None} if projects or all_projects else {}
    with _database().write() as session:
        changed = service.change_user(session, name, role=role, actor=ACTOR, now=now(), **more)
        said = "all machines" if changed.projects is None else f"projects {', '.join(changed.projects)}"
        click.echo(f"{name} is {changed.role}, {said}.")


@user.command("reset-password")
@click.argument("name")
def user_reset_password(name: str) -> None:
    """Print a one-time password, and nothing else: good for a day, to be changed at sign-in."""
    with _database().write() as session:
        password = service.reset_password(session, name, actor=ACTOR, now=now())
    click.echo(password)


@user.command("sign-out")
@click.argument("name")
def user_sign_out(name: str) -> None:
    """End every session of a user."""
    with _database().write() as session:
        sessions.end_all(session, service.get_user(session, name), actor=ACTOR, now=now())
    click.echo(f"{name} is signed out everywhere.")


@click.group()
def token() -> None:
    """Tokens for scripts."""


@token.command("create")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--name", default="cli", show_default=True, help="What it is for; shown in the audit log.")
@click.option("--user", "owner", default=None, help="Whose it is; it never reaches further than they do.")
@only_projects
@click.option("--read-only", is_flag=True, help="It changes nothing, whatever its role.")
@click.option("--days", type=click.IntRange(1, 3650), default=None, help="Left out: until it is revoked.")
def token_create(
    role: str, name: str, owner: str | None, projects: tuple[str, ...], read_only: bool, days: int | None
) -> None:
    """Make an API token and print it, and nothing else."""
    moment = now()
    with _database().write() as session:
        _, secret = tokens.create_token(
            session, name=name, role=role, actor=ACTOR, now=moment, read_only=read_only,
            user=service.get_user(session, owner) if owner else None, projects=list(projects) or None,
            expires_at=moment + dt.timedelta(days=days) if days else None,
        )  # fmt: skip
    click.echo(secret)


@token.command("list")
@as_json
def token_list(as_json: bool) -> None:
    """List tokens; their secrets are not kept."""
    with _database().read() as session:
        found = select(ApiToken, User.name).outerjoin(User, User.id == ApiToken.user_id).order_by(ApiToken.id)
        rows = [{**tokens.shown(row), "user": owner} for row, owner in session.execute(found)]
    columns = ("id", "name", "user", "role", "projects", "read_only", "expires_at", "last_used_at", "revoked")
    _show(columns, rows, as_json)


@token.command("revoke")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
def token_revoke(number: int) -> None:
    """Revoke a token by its number; it is refused from the next request on."""
    with _database().write() as session:
        tokens.revoke_token(session, number, actor=ACTOR, now=now())
    click.echo(f"Token {number} is revoked.")


def _database() -> Database:
    return Database(config.load().database_url)


def _show(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """One line for each row, as grep and awk want it; names with spaces are last resorts here."""
    if as_json:
        click.echo(json.dumps({"items": list(rows), "next": None}, indent=2))
        return
    cells = [columns, *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    for line in cells:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    if isinstance(value, list):
        return ",".join(value) or "none"
    return "-" if value is None else str(value)
