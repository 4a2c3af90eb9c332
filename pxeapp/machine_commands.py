"""`pxeapp machine ...`: on the appliance itself, straight on its database, through the same functions as the API.

Nothing here moves hardware or starts work: rows are changed, and the running workers find them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import click
from sqlalchemy import select

from pxeapp import config, wiring
from pxeapp.api.context import Context, known_site
from pxeapp.api.machines import event as event_wire
from pxeapp.api.power import wire as power_wire
from pxeapp.bmc import power as powering
from pxeapp.commandline import ACTOR, as_json, print_table
from pxeapp.consoles import bmc_commands
from pxeapp.db import now
from pxeapp.machines import imports, readers, selectors, wire
from pxeapp.machines.disks import in_words
from pxeapp.machines.models import Event
from pxeapp.machines.selectors import Filter
from pxeapp.provisioning import activity, lifecycle
from pxeapp.provisioning import explain as explaining
from pxeapp.provisioning import wire as deployment_wire
from pxeapp.provisioning.activity import Activity

COLUMNS = ("name", "mac", "state", "power", "role", "release", "at")  # of `machine list`
FORMS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".csv": "csv"}


@click.group()
def machine() -> None:
    """Machines: register, look, deploy, power."""


@machine.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@as_json
def import_file(file: Path, dry_run: bool, as_json: bool) -> None:
    """Register machines from a JSON, YAML or CSV file: all of them or none."""
    form = FORMS.get(file.suffix.lower())
    if form is None:
        raise click.BadParameter(f"{file.name} ends in none of {', '.join(FORMS)}.")
    context = _context()
    records = readers.read(file.read_bytes(), form)
    with context.database.write() as session:
        site = known_site(session, context.settings, context.templates)
        done = imports.run(session, context.vault, site, records, actor=ACTOR, now=now(), dry_run=dry_run)
    found = {
        "created": len(done.created),
        "updated": len(done.updated),
        "unchanged": done.unchanged,
        "dry_run": dry_run,
    }
    if as_json:
        _print(found)
    else:
        would = "would be " if dry_run else ""
        click.echo(f"{found['created']} {would}created, {found['updated']} {would}updated, {done.unchanged} unchanged.")


@machine.command("list")
@click.option("--state", default="")
@click.option("--role", default="")
@click.option("--cluster", default="")
@click.option("--search", default="", help="Part of name, serial or MAC.")
@as_json
def list_machines(state: str, role: str, cluster: str, search: str, as_json: bool) -> None:
    """List machines."""
    rows: list[dict[str, Any]] = []
    after: str | None = ""
    with _context().database.read() as session:
        while after is not None:
            found, after = selectors.page(
                session,
                Filter(state=state, role=role, cluster=cluster, search=search),
                after=after,
                limit=selectors.MAX_PAGE,
            )
            at = activity.of_machines(session, found)
            rows += [{**wire.machine(row), "activity": _activity(at.get(row.id))} for row in found]
    if as_json:
        _print({"items": rows, "next": None})
        return
    for row in rows:
        row["at"] = row["activity"]["what"] if row["activity"] else row["fault"]
    print_table(COLUMNS, [[str(row[name] or "") for name in COLUMNS] for row in rows])


@machine.command("show")
@click.argument("key")
@as_json
def show(key: str, as_json: bool) -> None:
    """Show a machine by name, MAC or id."""
    with _context().database.read() as session:
        row = selectors.get(session, key)
        at = activity.of_machines(session, [row]).get(row.id)
        found = {**wire.machine(row), "activity": _activity(at)}
        disks = [(disk.purpose, disk.path, in_words(disk.known)) for disk in row.disks]
    if as_json:
        _print(found)
        return
    for name, value in found.items():
        if name == "activity":
            if at is not None:
                click.echo(f"{name:<20} {at.what}\n{'':<20} until {at.deadline:%Y-%m-%d %H:%M:%S} UTC")
            continue
        if name == "disks" and disks:
            for number, (purpose, path, known) in enumerate(disks):
                click.echo(f"{'' if number else name:<20} {purpose:<6} {path}{known and '  '}{known}")
            continue
        click.echo(f"{name:<20} {value if isinstance(value, str) else json.dumps(value)}")


@machine.command("deploy")
@click.argument("key")
@click.option("--release", default=None, help="Left out: the machine's own.")
@click.option("--role", default=None, help="Left out: the machine's own.")
@click.option("--reimage", is_flag=True, help="Yes, erase a machine that is active.")
@as_json
def deploy(key: str, release: str | None, role: str | None, reimage: bool, as_json: bool) -> None:
    """Deploy a machine."""
    context = _context()
    rehearsal = context.checker.rehearse(context.database, key, release=release, role=role)
    with context.database.write() as session:
        row = selectors.get(session, key, lock=True)
        deployment = lifecycle.deploy(
            session,
            row,
            release=release,
            role=role,
            rehearsal=rehearsal,
            reimage=reimage,
            requested_by=ACTOR,
            now=now(),
        )
        found = deployment_wire.deployment(deployment, row.name)
    context.queue.hint(found["id"])
    if as_json:
        _print(found)
    else:
        click.echo(
            f"Deployment {found['id']} of {found['machine']} began; see: pxeapp machine explain {found['machine']}"
        )


@machine.command("abort")
@click.argument("key")
@as_json
def abort(key: str, as_json: bool) -> None:
    """Abort the running deployment."""
    with _context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        deployment = lifecycle.abort(session, row, requested_by=ACTOR, now=now())
        found = deployment_wire.deployment(deployment, row.name)
    if as_json:
        _print(found)
    else:
        click.echo(found["reason"])


@machine.command("release")
@click.argument("key")
@as_json
def release(key: str, as_json: bool) -> None:
    """Take a machine out of use; its disk is not touched."""
    with _context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        lifecycle.release_machine(session, row, requested_by=ACTOR, now=now())
        found = wire.machine(row)
    if as_json:
        _print(found)
    else:
        click.echo(f"{found['name']} is {found['state']}.")


@machine.command("power")
@click.argument("key")
@click.argument("action", type=click.Choice(["on", "off", "cycle"]), required=False)
@as_json
def power(key: str, action: str | None, as_json: bool) -> None:
    """Show a machine's power, or order it on, off or cycled."""
    database = _context().database
    if action is not None:
        with database.write() as session:
            row = selectors.get(session, key, lock=True)
            lifecycle.refuse_power_order(row)
            goal = cast(powering.Goal, action)
            powering.request(session, machine_id=row.id, goal=goal, requested_by=ACTOR, now=now())
    with database.read() as session:
        row = selectors.get(session, key)
        last = powering.latest(session, row.id)
    if as_json:
        _print(power_wire(row, last))
    elif action is not None:
        click.echo(f"{row.name} was ordered {action}; the BMC worker carries it out.")
    else:
        seen = f"seen {row.power_seen_at:%Y-%m-%d %H:%M:%S} UTC" if row.power_seen_at else "never seen"
        click.echo(f"{row.name} is {row.power} ({seen}).")
        if last is not None:
            click.echo(f"Last order: {last.goal}, {last.outcome or last.phase}. {last.error}".rstrip())


@machine.command("events")
@click.argument("key")
@as_json
def events(key: str, as_json: bool) -> None:
    """A machine's timeline, oldest first."""
    with _context().database.read() as session:
        row = selectors.get(session, key)
        rows = session.scalars(select(Event).where(Event.machine_id == row.id).order_by(Event.id)).all()
    if as_json:
        _print({"items": [event_wire(each) for each in rows], "next": None})
        return
    for each in rows:
        click.echo(f"{each.at:%Y-%m-%d %H:%M:%S}  {each.source:<10}  {each.kind:<16}  {each.message}")


@machine.command("explain")
@click.argument("key")
@as_json
def explain(key: str, as_json: bool) -> None:
    """Why a machine is where it is, and what to try."""
    with _context().database.read() as session:
        found = explaining.explain(session, selectors.get(session, key), now()).to_dict()
    if as_json:
        _print(found)
        return
    click.echo(found["summary"])
    click.echo(f"Last evidence: {found['last_evidence']}")
    until = f", until {found['deadline'][:19].replace('T', ' ')} UTC" if found["deadline"] else ""
    click.echo(f"Expected next: {found['expected_next']}{until}")
    if found["activity"] and found["activity"]["log"]:
        click.echo(f"Log: {found['activity']['log']}")
    if found["activity"] and found["activity"]["retry"]:
        click.echo(f"Retry: {found['activity']['retry']}")
    for number, cause in enumerate(found["causes"], 1):
        click.echo(f"{number}. {cause['cause']}\n   {cause['try']}")


for each in bmc_commands.COMMANDS:
    machine.add_command(each)


def _activity(found: Activity | None) -> dict[str, Any] | None:
    return found.to_dict() if found is not None else None


def _context() -> Context:
    return wiring.create_context(config.load())


def _print(value: object) -> None:
    click.echo(json.dumps(value, indent=2))
