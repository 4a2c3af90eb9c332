"""`pxeapp given`: what a machine was really given, beside what it would get today."""

from __future__ import annotations

import sys
from typing import Any

import click

from pxeapp.client import PAGE, appliance, at
from pxeapp.commandline import as_json, moment, print_json
from pxeapp.errors import Conflict
from pxeapp.provisioning.colours import coloured


@click.command()
@click.argument("machine")
@click.option("--deployment", type=int, default=None, help="Of this deployment; left out: of the latest.")
@click.option("--kind", default="", help="Show this one: ipxe, grub, pxelinux, kickstart, preseed, script, ...")
@click.option("--diff", "diff", is_flag=True, help="Beside what it would get today; exit code 1 if that differs.")
@click.option("--exact", is_flag=True, help="With its tokens and secrets; the audit says who looked.")
@as_json
def given(machine: str, deployment: int | None, kind: str, diff: bool, exact: bool, as_json: bool) -> None:
    """List what a MACHINE was given, show it, and compare it with what it would get today."""
    own = appliance()
    if exact and not kind:
        raise Conflict("The exact text is shown of one kind at a time.", hint="Add --kind.")
    found = own.get(at("machines", machine, "given"), deployment=deployment, kind=kind, diff=diff, limit=PAGE)
    files = found["items"]
    if exact:
        click.echo(own.text(at("machines", machine, "given", files[-1]["id"], "exact")), nl=False)
        return
    if as_json:
        print_json(found)
    elif diff:
        _show_differences(files)
    elif kind:
        _show(files[-1])
    else:
        attempt = own.get(at("deployments", found["deployment"]))
        name, what = found["machine"], f"{attempt['release']} as {attempt['role']}"
        click.echo(f"{name}, deployment {attempt['id']} ({what}):")
        for each in files:
            about = f"{each['kind']:<12}  {each['size']:>7}  {each['sha256']}  {each['problem']}"
            click.echo(f"{moment(each['at'])}  {about}".rstrip())
        if not files:
            click.echo("It was given nothing yet.")
    if diff and any(each["today"]["diff"] for each in files):
        sys.exit(1)


def _show(file: dict[str, Any]) -> None:
    if file["text"] is None:
        raise Conflict(file["problem"])
    click.echo(file["text"], nl=False)


def _show_differences(files: list[dict[str, Any]]) -> None:
    for file in files:
        beside = file["today"]
        if beside["problem"]:
            click.echo(f"{file['kind']}: {beside['problem']}")
        elif beside["diff"]:
            click.echo(coloured(beside["diff"]), nl=False)
        else:
            click.echo(f"{file['kind']}: today it would be given the same.")
