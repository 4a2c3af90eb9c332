"""`pxeapp render`: what a machine is given, tokens masked; `pxeapp check`: what is wrong with it, for every machine."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.commandline import as_json, counting, print_json
from pxeapp.sentences import few

AT_ONCE = 50  # machines of one page: each is rendered for it


@click.command()
@click.argument("machine")
@click.option("--kind", default="", help="ipxe, grub, pxelinux, kickstart, preseed, script; all when left out.")
@click.option("--check", "check_only", is_flag=True, help="Only the faults; ends with 1 when there are any.")
def render(machine: str, kind: str, check_only: bool) -> None:
    """Print the boot scripts and answer files of a MACHINE, tokens masked, and their faults."""
    files = appliance().get(at("machines", machine, "rendered"), kind=kind)["items"]
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
@as_json
def check(release: str, as_json: bool) -> None:
    """Check the files of every machine that has a release and a role; ends with 1 when one has a fault."""
    found: dict[str, dict[str, Any]] = {}
    machines: dict[str, list[str]] = defaultdict(list)
    looked_at = 0
    with counting("Checking") as count:
        for each in appliance().each("/checks", limit=AT_ONCE, release=release):
            looked_at += 1
            count(looked_at, None)
            for fault in each["faults"]:
                found.setdefault(fault["text"], fault)
                machines[fault["text"]].append(each["machine"])
    items = [{**fault, "machines": machines[text]} for text, fault in found.items()]
    if as_json:
        print_json({"machines": looked_at, "items": items})
    else:
        for item in items:
            click.echo(f"{few(item['machines'], 3)}: {_said(item)}")
        click.echo(f"{looked_at} machines, {len(items)} faults.")
    sys.exit(1 if any(not item["advice"] for item in items) else 0)


def _said(fault: dict[str, Any]) -> str:
    return f"{'advice: ' if fault['advice'] else ''}{fault['text']}"
