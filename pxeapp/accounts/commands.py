"""`pxeapp user` and `pxeapp token`, here and on an appliance elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import click

from pxeapp.accounts.permissions import ROLES
from pxeapp.client import appliance, at
from pxeapp.commandline import as_json, print_json

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
    if password is None and not one_time:
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    said: dict[str, Any] = {"one_time": True} if one_time else {"password": password}
    made = appliance().post("/users", {"name": name, "role": role, "projects": list(projects) or None, **said})
    click.echo(made["one_time_password"] if one_time else f"{name} may sign in as {role}.")


@user.command("list")
@as_json
def user_list(as_json: bool) -> None:
    """List users."""
    rows = list(appliance().each("/users"))
    _show(("name", "role", "projects", "disabled", "second_factor", "source", "last_sign_in_at"), rows, as_json)


@user.command("disable")
@click.argument("name")
def user_disable(name: str) -> None:
    """Close an account: every session and token of it ends at once."""
    appliance().patch(at("users", name), {"disabled": True})
    click.echo(f"{name} is disabled.")


@user.command("enable")
@click.argument("name")
def user_enable(name: str) -> None:
    """Open a closed account again."""
    appliance().patch(at("users", name), {"disabled": False})
    click.echo(f"{name} may sign in again.")


@user.command("change")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default=None)
@only_projects
@click.option("--all-projects", is_flag=True, help="All machines again.")
def user_change(name: str, role: str | None, projects: tuple[str, ...], all_projects: bool) -> None:
    """Change a user's role or projects."""
    said: dict[str, Any] = {"projects": list(projects) or None} if projects or all_projects else {}
    changed = appliance().patch(at("users", name), {**said, **({"role": role} if role else {})})
    reach = "all machines" if changed["projects"] is None else f"projects {', '.join(changed['projects'])}"
    click.echo(f"{name} is {changed['role']}, {reach}.")


@user.command("reset-password")
@click.argument("name")
def user_reset_password(name: str) -> None:
    """Print a one-time password, and nothing else: good for a day, to be changed at sign-in."""
    click.echo(appliance().post(at("users", name, "reset-password"))["one_time_password"])


@user.command("sign-out")
@click.argument("name")
def user_sign_out(name: str) -> None:
    """End every session of a user."""
    appliance().delete(at("users", name, "sessions"))
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
    ends = (dt.datetime.now(dt.UTC) + dt.timedelta(days=days)).isoformat() if days else None
    said = {
        "name": name, "role": role, "user": owner, "projects": list(projects) or None, "read_only": read_only,
        "expires_at": ends,
    }  # fmt: skip
    click.echo(appliance().post("/tokens", said)["token"])


@token.command("list")
@as_json
def token_list(as_json: bool) -> None:
    """List tokens; their secrets are not kept."""
    columns = ("id", "name", "user", "role", "projects", "read_only", "expires_at", "last_used_at", "revoked")
    _show(columns, list(appliance().each("/tokens")), as_json)


@token.command("revoke")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
def token_revoke(number: int) -> None:
    """Revoke a token by its number; it is refused from the next request on."""
    appliance().delete(at("tokens", number))
    click.echo(f"Token {number} is revoked.")


def _show(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """One line for each row, as grep and awk want it; names with spaces are last resorts here."""
    if as_json:
        print_json({"items": list(rows), "next": None})
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
