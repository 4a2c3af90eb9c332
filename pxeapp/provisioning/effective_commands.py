"""`pxeapp variables`: which there are, and which hold for a machine and why."""

from __future__ import annotations

import json
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.commandline import as_json, print_json, print_table


@click.command()
@click.argument("machine", required=False)
@click.option("--role", default="", help="The variables that this role knows; left out: those of all roles.")
@as_json
def variables(machine: str | None, role: str, as_json: bool) -> None:
    """Print every variable there is; with a MACHINE, those that hold for it and where each is said."""
    own = appliance()
    found = own.each("/variables", role=role) if machine is None else own.each(at("machines", machine, "variables"))
    items = list(found)
    if as_json:
        print_json({"items": items, "next": None})
    elif machine is not None:
        print_table(("name", "value", "from"), [(item["name"], _shown(item["value"]), item["from"]) for item in items])
    else:
        print_table(("name", "type", "default", "scope", "notes", "help"), [_row(item) for item in items])


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    notes = ", ".join(word for word in ("required", "secret") if item.get(word))
    return item["name"], item["type"], _shown(item["default"]), item["scope"], notes, item["help"]


def _shown(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
