"""`pxeapp variables`: which there are, and which hold for a machine and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from pxeapp import config
from pxeapp.answers import knowledge, roles
from pxeapp.db import Database
from pxeapp.machines import selectors
from pxeapp.provisioning import effective
from pxeapp.templates import Templates

PIPE_WIDTH = 1000


@click.command()
@click.argument("machine", required=False)
@click.option("--role", default="", help="The variables that this role knows; left out: those of all roles.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def variables(machine: str | None, role: str, as_json: bool) -> None:
    """Print every variable there is; with a MACHINE, those that hold for it and where each is said."""
    settings = config.load()
    templates = Templates(settings.templates_dir)
    with Database(settings.database_url).read() as session:
        if machine is not None:
            items = effective.of_machine(session, templates, selectors.get(session, machine))
        else:
            if role:
                roles.get(session, role)
            items = effective.reference(knowledge.rules(session, templates), role or None)
    if as_json:
        click.echo(json.dumps({"items": items, "next": None}, indent=2))
    elif machine is not None:
        _table(("name", "value", "from"), [{**item, "value": _shown(item["value"])} for item in items])
    else:
        _table(("name", "type", "default", "scope", "notes", "help"), [_row(item) for item in items])


def _row(item: dict[str, Any]) -> dict[str, str]:
    notes = [word for word in ("required", "secret") if item.get(word)]
    return {**item, "default": _shown(item["default"]), "notes": ", ".join(notes)}


def _shown(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(row[name]).replace("[", r"\[") for name in columns))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table, crop=False)
