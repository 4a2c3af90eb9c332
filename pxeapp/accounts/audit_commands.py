"""`pxeapp audit`: look and export from anywhere; on the appliance itself verify the chain, take out what is old."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import click

from pxeapp import config
from pxeapp.audit import chain, pruning, search
from pxeapp.client import PAGE, appliance
from pxeapp.commandline import ACTOR, as_json, counting, print_json
from pxeapp.db import Database, now
from pxeapp.errors import Invalid

MOST = 100_000


@click.group()
def audit() -> None:
    """Who did what, and who was refused."""


def narrowing(command: Any) -> Any:
    """What a listing and an export are narrowed by."""
    for option in (
        click.option("--until", default="", help="Before this moment; UTC unless it says otherwise."),
        click.option("--since", default="", help="From this moment on, as 2026-11-25 or 2026-11-25T23:00."),
        click.option("--refused", is_flag=True, help="Only what was refused."),
        click.option("--action", default="", help="As machine.change, or machine.* for all of them."),
        click.option("--subject", default="", help="To what: a machine's or a user's name."),
        click.option("--actor", default="", help="Who: user:NAME, token:NAME."),
    ):
        command = option(command)
    return command


@audit.command("list")
@narrowing
@click.option("--limit", type=click.IntRange(1, MOST), default=100, show_default=True, help="The newest so many.")
@as_json
def audit_list(limit: int, as_json: bool, **said: Any) -> None:
    """List the newest rows, oldest first."""
    newest = appliance().each("/audit", limit=min(limit, PAGE), order="newest", **_narrowed(**said))
    found = list(itertools.islice(newest, limit))[::-1]
    if as_json:
        print_json({"items": found, "next": None})
        return
    for row in found:
        reason = row["details"].get("reason", "") if row["outcome"] == "refused" else ""
        place = f"  from {row['address']}" if row["address"] else ""
        click.echo(
            f"{row['at'][:19]}  {row['outcome']:<7}  {row['actor']}  {row['action']}  {row['subject']}{place}"
            f"{f'  {reason}' if reason else ''}"
        )


@audit.command("export")
@narrowing
@click.option("--format", "form", type=click.Choice(("csv", "json", "jsonl")), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Left out: printed.")
def audit_export(form: str, output: Path | None, **said: Any) -> None:
    """Write rows as a file, however many there are."""
    pieces = appliance().stream("/audit/export", format=form, **_narrowed(**said))
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    first = next(pieces, b"")  # refused before there is a file
    with output.open("xb") as file:
        try:
            _fill(file, itertools.chain([first], pieces), output.name)
        except BaseException:
            output.unlink()
            raise


@audit.command("verify")
@click.option("--expect", default="", help="A hash that was noted down earlier: it must still be in the chain.")
@as_json
def audit_verify(expect: str, as_json: bool) -> None:
    """Look whether any row was changed or taken out; exit code 1 when one was."""
    with Database(config.load().database_url).read() as session:
        found = chain.verify(session)
        if expect and not chain.holds(session, expect):
            found.say(f"The hash {expect[:64]} is not in the chain any more: its end was cut off or written anew.")
    if as_json:
        said = {"rows": found.rows, "number": found.number, "head": found.head, "problems": found.problems}
        click.echo(json.dumps(said, indent=2))
    else:
        for problem in found.problems:
            click.echo(problem)
        taken = f", {found.pruned} exported and taken out before" if found.pruned else ""
        click.echo(f"{found.rows} rows{taken}; the last is number {found.number} with the hash {found.head}")
    if found.problems:
        sys.exit(1)


@audit.command("prune")
@click.option("--before", required=True, help="Rows from before this moment; at least 30 days ago.")
@click.option(
    "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A new file, of JSON lines."
)
def audit_prune(before: str, output: Path) -> None:
    """Export what is old into a file, then take it out of the database."""
    moment = _moment("before", before)
    with Database(config.load().database_url).write() as session:
        done = pruning.prune(session, before=moment or now(), file=output.absolute(), actor=ACTOR, now=now())
    if not done.rows:
        click.echo("Nothing is that old.")
        return
    click.echo(f"{done.rows} rows up to number {done.through} are in {done.file} (SHA-256 {done.sha256}).")


def _fill(file: IO[bytes], pieces: Iterable[bytes], name: str) -> None:
    with counting(f"Writing {name}, bytes") as count:
        for piece in pieces:
            file.write(piece)
            count(file.tell(), None)


def _narrowed(*, actor: str, subject: str, action: str, refused: bool, since: str, until: str) -> dict[str, Any]:
    """As the API takes it."""
    return {
        "actor": actor, "subject": subject, "action": action, "outcome": "refused" if refused else "",
        "since": _iso("since", since), "until": _iso("until", until),
    }  # fmt: skip


def _iso(name: str, said: str) -> str | None:
    moment = _moment(name, said)
    return moment.isoformat() if moment is not None else None


def _moment(name: str, said: str) -> dt.datetime | None:
    try:
        return search.moment(said)
    except ValueError:
        raise Invalid(f"--{name} {said[:40]!r} is no moment.", hint="Write 2026-11-25 or 2026-11-25T23:00.") from None
