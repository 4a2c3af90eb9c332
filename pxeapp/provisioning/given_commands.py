"""`pxeapp given`: what a machine was really given, beside what it would get today."""

from __future__ import annotations

import json
import sys

import click

from pxeapp import config
from pxeapp.commandline import ACTOR, as_json
from pxeapp.db import Database, now
from pxeapp.errors import Conflict
from pxeapp.machines import selectors
from pxeapp.provisioning import given as records
from pxeapp.provisioning.colours import coloured
from pxeapp.provisioning.given import Compared, File
from pxeapp.provisioning.plan import Tools
from pxeapp.templates import Templates
from pxeapp.vault import open_vault


@click.command()
@click.argument("machine")
@click.option("--deployment", type=int, default=None, help="Of this deployment; left out: of the latest.")
@click.option("--kind", default="", help="Show this one: ipxe, grub, pxelinux, kickstart, preseed, script, ...")
@click.option("--diff", "diff", is_flag=True, help="Beside what it would get today; exit code 1 if that differs.")
@click.option("--exact", is_flag=True, help="With its tokens and secrets; the audit says who looked.")
@as_json
def given(machine: str, deployment: int | None, kind: str, diff: bool, exact: bool, as_json: bool) -> None:
    """List what a MACHINE was given, show it, and compare it with what it would get today."""
    settings = config.load()
    database, vault = Database(settings.database_url), open_vault(settings.data_dir)
    if exact and not kind:
        raise Conflict("The exact text is shown of one kind at a time.", hint="Add --kind.")
    with database.read() as session:
        row = selectors.get(session, machine)
        attempt = records.attempt(session, row, deployment)
        files = records.files(session, vault, attempt, kind=kind)
        compared: list[Compared] = []
        if diff:
            compared = records.compared(session, Tools(settings, vault, Templates(settings.templates_dir)), row, files)
    if exact:
        with database.write() as session:
            _, text = records.exact(session, vault, row, files[-1].id, actor=ACTOR, now=now())
        click.echo(text, nl=False)
        return
    if as_json:
        items = [each.to_dict() for each in files]
        for item, beside in zip(items, compared, strict=False):
            item["today"] = beside.to_dict()
        click.echo(json.dumps({"machine": row.name, "deployment": attempt.id, "items": items, "next": None}, indent=2))
    elif diff:
        _show_differences(files, compared)
    elif kind:
        _show(files[-1])
    else:
        click.echo(f"{row.name}, deployment {attempt.id} ({attempt.release} as {attempt.role}):")
        for each in files:
            click.echo(
                f"{each.at:%Y-%m-%d %H:%M:%S}  {each.kind:<12}  {each.size:>7}  {each.sha256}  {each.problem}".rstrip()
            )
        if not files:
            click.echo("It was given nothing yet.")
    if any(each.diff for each in compared):
        sys.exit(1)


def _show(file: File) -> None:
    if file.text is None:
        raise Conflict(file.problem)
    click.echo(file.text, nl=False)


def _show_differences(files: list[File], compared: list[Compared]) -> None:
    for file, beside in zip(files, compared, strict=True):
        if beside.problem:
            click.echo(f"{file.kind}: {beside.problem}")
        elif beside.diff:
            click.echo(coloured(beside.diff), nl=False)
        else:
            click.echo(f"{file.kind}: today it would be given the same.")
