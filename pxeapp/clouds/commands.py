"""`pxeapp cloud`: the OpenStack clouds that rollouts drain machines by, here and on an appliance elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.commandline import agree, as_json, print_json, print_table, working, yes
from pxeapp.errors import Conflict, Invalid, NotFound

HEAD = ("NAME", "KEYSTONE", "REGION", "AS")
CHECK_HEAD = ("SERVICE", "OK", "WHAT")


@click.group()
def cloud() -> None:
    """OpenStack clouds that rollouts drain machines by."""


@cloud.command("list")
@as_json
def list_clouds(as_json: bool) -> None:
    """List clouds."""
    found = list(appliance().each("/clouds"))
    if as_json:
        print_json({"items": found, "next": None})
        return
    print_table(HEAD, [(each["name"], each["auth_url"], each["region"] or "-", _who(each)) for each in found])


@cloud.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a cloud; never its secret."""
    found = appliance().get(at("clouds", name))
    if as_json:
        print_json(found)
        return
    for field in ("name", "auth_url", "region", "interface"):
        click.echo(f"{field:<24} {found[field]}".rstrip())
    click.echo(f"{'as':<24} {_who(found)}")
    click.echo(f"{'ca':<24} {'given' if found['ca'] else 'what the host trusts'}")


@cloud.command("set")
@click.argument("name")
@click.option("--auth-url", default=None, metavar="URL", help="Keystone, with /v3.")
@click.option("--region", default=None, help="Where there is more than one.")
@click.option("--interface", default=None, type=click.Choice(["public", "internal", "admin"]), help="Of the endpoints.")
@click.option("--username", default=None, help="With --project, and a password as the secret.")
@click.option("--user-domain", default=None, help="Default where nothing is said.")
@click.option("--project", default=None, help="The project to work in.")
@click.option("--project-domain", default=None, help="Default where nothing is said.")
@click.option("--application-credential", default=None, metavar="ID", help="In place of user and project.")
@click.option("--ca-file", default=None, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM.")
@click.option("--secret", "ask", is_flag=True, help="The secret is asked for, or read from standard input.")
def change(name: str, ca_file: Path | None, ask: bool, **said: str | None) -> None:
    """Add a cloud, or change what is given of one."""
    wanted: dict[str, Any] = {field: value for field, value in said.items() if value is not None}
    if ca_file is not None:
        wanted["ca"] = ca_file.read_text()
    if ask:
        wanted["secret"] = _secret(name)
    own = appliance()
    try:
        present = own.get(at("clouds", name))
    except NotFound:
        if not ask:
            raise Invalid(f"{name} is new, and needs a secret.", hint="Add --secret.") from None
        own.post("/clouds", {"name": name, **wanted})
        click.echo(f"{name} was added. See whether it lets us in: pxeapp cloud check {name}")
        return
    if wanted.get("application_credential") and present["username"]:
        wanted = {"username": "", "project": "", **wanted}  # it has both in it
    elif wanted.get("username") and present["application_credential"]:
        wanted = {"application_credential": "", **wanted}
    own.patch(at("clouds", name), wanted)
    click.echo(f"{name} was changed.")


@cloud.command("remove")
@click.argument("name")
@yes
def remove(name: str, yes: bool) -> None:
    """Remove a cloud, and its secret."""
    agree(f"{name} and its secret are forgotten.", yes=yes)
    appliance().delete(at("clouds", name))
    click.echo(f"{name} was removed.")


@cloud.command("check")
@click.argument("name")
@as_json
def check(name: str, as_json: bool) -> None:
    """Sign in to a cloud, or to cluster:NAME, and see whether it shows what a rollout needs."""
    with working("Asking ..."):
        found = appliance().post(at("clouds", name, "check"))
    if as_json:
        print_json(found)
    else:
        rows = found["findings"]
        print_table(CHECK_HEAD, [(each["what"], "yes" if each["ok"] else "no", each["says"]) for each in rows])
    if not found["ok"]:
        raise Conflict(f"A rollout cannot work with {name} so.")


def _who(found: dict[str, Any]) -> str:
    if found["application_credential"]:
        return f"application credential {found['application_credential']}"
    return f"{found['username']} in {found['project']}"


def _secret(name: str) -> str:
    """Typed where somebody sits, else the first line of the standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(f"Secret for {name}", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
