"""`pxeapp doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from pxeapp.doctor.examination import examine
from pxeapp.doctor.finding import Finding

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, as_json: bool) -> None:
    """Look at everything the appliance needs, say what is wrong and what to do.

    Exits with 1 if something failed, with 0 if all is well or there are only warnings. Changes nothing.
    """
    found = list(examine())
    if as_json:
        items = [
            {"check": name, "status": each.status, "sentence": each.sentence, "try": each.attempt}
            for name, each in found
        ]
        click.echo(json.dumps({"items": items, "next": None}, indent=2))
    else:
        for name, each in found:
            click.echo(f"{MARKS[each.status]}  {name + ':':<20} {each.sentence}")
            if each.attempt:
                click.echo(f"{'':27}{each.attempt}")
        click.echo(_summary([each for _, each in found]))
    sys.exit(1 if any(each.status == "fail" for _, each in found) else 0)


def _summary(found: Sequence[Finding]) -> str:
    failures = sum(each.status == "fail" for each in found)
    warnings = sum(each.status == "warn" for each in found)
    if not failures and not warnings:
        return "All is well."
    said = f"Failed: {failures}. Warnings: {warnings}."
    return f"{said} Begin with the first that failed." if failures else said
