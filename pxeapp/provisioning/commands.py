"""`pxeapp render`: what a machine is given, tokens masked; `pxeapp check`: what is wrong with it, for every machine."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from typing import Any

import click
from sqlalchemy import select

from pxeapp import config
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.provisioning import rendered
from pxeapp.provisioning.checking import Checker
from pxeapp.templates import Templates
from pxeapp.vault import open_vault


@click.command()
@click.argument("machine")
@click.option("--kind", default="", help="ipxe, grub, pxelinux, kickstart, preseed, script; all when left out.")
@click.option("--check", "check_only", is_flag=True, help="Only the faults; ends with 1 when there are any.")
def render(machine: str, kind: str, *, check_only: bool) -> None:
    """Print the boot scripts and answer files of a MACHINE, tokens masked, and their faults."""
    settings = config.load()
    checker = Checker(settings, open_vault(settings.data_dir), Templates(settings.templates_dir))
    with Database(settings.database_url).read() as session:
        row = selectors.get(session, machine)
        files = rendered.rendered(session, checker, row, kind=kind)
    if not check_only:
        for file in files:
            if not kind:
                click.echo(f"==> {file['kind']} <==")
            click.echo(file["text"])
    faults = [fault for file in files for fault in file["faults"]]
    for fault in faults:
        click.echo(_said(fault), err=not check_only)
    if check_only:
        if not faults:
            click.echo(f"{', '.join(file['kind'] for file in files)}: no fault.")
        sys.exit(1 if any(not fault["advice"] for fault in faults) else 0)


@click.command()
@click.option("--release", default="", help="Only machines with this release.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(release: str, *, as_json: bool) -> None:
    """Check the files of every machine that has a release and a role; ends with 1 when one has a fault."""
    settings = config.load()
    checker = Checker(settings, open_vault(settings.data_dir), Templates(settings.templates_dir))
    found: dict[str, dict[str, Any]] = {}
    machines: dict[str, list[str]] = defaultdict(list)
    looked_at = 0
    with Database(settings.database_url).read() as session:
        wanted = select(Machine).where(Machine.release.is_not(None), Machine.role.is_not(None)).order_by(Machine.name)
        if release:
            wanted = wanted.where(Machine.release == release)
        for row in session.scalars(wanted.execution_options(yield_per=200)):
            looked_at += 1
            for fault in _faults(session, checker, row):
                found.setdefault(fault["text"], fault)
                machines[fault["text"]].append(row.name)
    items = [{**fault, "machines": machines[text]} for text, fault in found.items()]
    if as_json:
        click.echo(json.dumps({"machines": looked_at, "items": items}, indent=2))
    else:
        for item in items:
            names = item["machines"]
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            click.echo(f"{shown}: {_said(item)}")
        click.echo(f"{looked_at} machines, {len(items)} faults.")
    sys.exit(1 if any(not item["advice"] for item in items) else 0)


def _faults(session: Any, checker: Checker, row: Machine) -> list[dict[str, Any]]:
    """The faults of a machine's files; what cannot even be made is one too."""
    try:
        return [fault for file in rendered.rendered(session, checker, row) for fault in file["faults"]]
    except PxeError as error:
        return [{"line": 0, "problem": error.sentence, "fix": error.hint, "advice": False, "text": error.in_full}]


def _said(fault: dict[str, Any]) -> str:
    return f"{'advice: ' if fault['advice'] else ''}{fault['text']}"
