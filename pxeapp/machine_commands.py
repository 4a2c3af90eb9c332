"""`pxeapp machine ...`, here and on an appliance elsewhere.

Nothing here moves hardware or starts work: the appliance is asked, its workers do it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.client.watching import Picture, follow, shown, timeout, watch
from pxeapp.commandline import agree, as_json, moment, print_json, working, yes
from pxeapp.consoles import bmc_commands
from pxeapp.errors import Conflict
from pxeapp.jobs.commands import bulk
from pxeapp.machines.disks import PURPOSES, KnownDisk, in_words
from pxeapp.provisioning.deployment_commands import attempt, ended

COLUMNS = ("name", "mac", "state", "power", "role", "release", "at")  # of `machine list`
# How `machine show` orders what it knows; whatever else there is comes behind.
SHOWN = (
    "id", "name", "mac", "serial", "uuid", "state", "activity", "power", "power_seen_at", "role", "release", "cluster",
    "project", "bmc", "interfaces", "disks", "labels", "vars", "location", "maintenance", "maintenance_reason",
    "locked", "fault", "version", "created_at", "updated_at",
)  # fmt: skip
MEDIA = {".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml", ".csv": "text/csv"}
ACTIVE = "active"


@click.group()
def machine() -> None:
    """Machines: register, look, deploy, power."""


@machine.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@as_json
def import_file(file: Path, dry_run: bool, as_json: bool) -> None:
    """Register machines from a JSON, YAML or CSV file: all of them or none."""
    media = MEDIA.get(file.suffix.lower())
    if media is None:
        raise click.BadParameter(f"{file.name} ends in none of {', '.join(MEDIA)}.")
    with working(f"Importing {file.name} ..."):
        found = appliance().upload("/machines/import", file.read_bytes(), media, dry_run=dry_run)
    if as_json:
        print_json({name: found[name] for name in ("created", "updated", "unchanged", "dry_run")})
    else:
        would = "would be " if dry_run else ""
        counts = f"{found['created']} {would}created, {found['updated']} {would}updated"
        click.echo(f"{counts}, {found['unchanged']} unchanged.")


@machine.command("list")
@click.option("--state", default="")
@click.option("--role", default="")
@click.option("--release", default="")
@click.option("--cluster", default="")
@click.option("--label", default="", metavar="KEY=VALUE")
@click.option("--search", default="", help="Part of name, serial or MAC.")
@watch
@timeout
@as_json
def list_machines(watch: bool, timeout: float | None, as_json: bool, **narrowed: Any) -> None:
    """List machines."""
    own = appliance()

    def look() -> Picture:
        found = list(own.each("/machines", activity=True, **narrowed))
        return Picture({"items": found, "next": None}, COLUMNS, [_row(each) for each in found])

    shown(own, look, events="machine.*,machines.*", watch=watch, timeout=timeout, as_json=as_json)


@machine.command("show")
@click.argument("key")
@watch
@timeout
@as_json
def show(key: str, watch: bool, timeout: float | None, as_json: bool) -> None:
    """Show a machine by name, MAC or id."""
    own = appliance()

    def look() -> Picture:
        found = own.get(at("machines", key), activity=True)
        return Picture(found, lines=_described(found))

    shown(own, look, events="machine.*,machines.*", watch=watch, timeout=timeout, as_json=as_json)


@machine.command("deploy")
@click.argument("key")
@click.option("--release", default=None, help="Left out: the machine's own.")
@click.option("--role", default=None, help="Left out: the machine's own.")
@click.option("--reimage", is_flag=True, help="Yes, erase a machine that is active.")
@click.option("--wait", is_flag=True, help="Come back when it is over; exit code 1 when it failed.")
@watch
@timeout
@yes
@as_json
def deploy(
    key: str, release: str | None, role: str | None, reimage: bool, wait: bool, watch: bool, timeout: float | None,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Deploy a machine."""
    own = appliance()
    if reimage:
        found = own.get(at("machines", key))
        if found["state"] == ACTIVE:
            agree(f"{_identified(found)}: everything on its disks that are not kept is erased.", yes=yes)
    said = {"release": release, "role": role, "reimage": reimage}
    found = own.post(at("machines", key, "deploy"), said)
    number, name = found["id"], found["machine"]
    if not wait and not watch:
        if as_json:
            print_json(found)
        else:
            click.echo(f"Deployment {number} of {name} began; see: pxeapp machine explain {name}")
        return
    if watch:
        last = follow(
            own, lambda: attempt(own.get(at("deployments", number))), events="machine.*", timeout=timeout,
            as_json=as_json,
        )  # fmt: skip
    else:
        with working(f"Waiting for deployment {number} of {name} ..."):
            last = ended(own, number, timeout)
        if as_json:
            print_json(last.value)
    if last.failed:
        raise Conflict(f"Deployment {number} of {name} {last.value['outcome']}: {last.value['reason']}")
    if not as_json:
        click.echo(f"{name} is {ACTIVE}.")


@machine.command("abort")
@click.argument("key")
@as_json
def abort(key: str, as_json: bool) -> None:
    """Abort the running deployment."""
    found = appliance().post(at("machines", key, "abort"))
    if as_json:
        print_json(found)
    else:
        click.echo(found["reason"])


@machine.command("release")
@click.argument("key")
@yes
@as_json
def release(key: str, yes: bool, as_json: bool) -> None:
    """Take a machine out of use; its disk is not touched."""
    own = appliance()
    found = own.get(at("machines", key))
    agree(f"{_identified(found)} is taken out of use.", yes=yes)
    found = own.post(at("machines", key, "release"))
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['name']} is {found['state']}.")


@machine.command("delete")
@click.argument("key")
@yes
def delete(key: str, yes: bool) -> None:
    """Forget a machine, its timeline and what it was given."""
    own = appliance()
    found = own.get(at("machines", key))
    agree(f"{_identified(found)} is forgotten, with its timeline and what it was given.", yes=yes)
    own.delete(at("machines", key))
    click.echo(f"{found['name']} is forgotten.")


@machine.command("power")
@click.argument("key")
@click.argument("action", type=click.Choice(["on", "off", "cycle"]), required=False)
@yes
@as_json
def power(key: str, action: str | None, yes: bool, as_json: bool) -> None:
    """Show a machine's power, or order it on, off or cycled."""
    own = appliance()
    found = own.get(at("machines", key))
    name = found["name"]
    if action is not None:
        if action != "on":
            agree(f"{_identified(found)} is switched off{' and on again' if action == 'cycle' else ''}.", yes=yes)
        own.post(at("machines", key, "power"), {"action": action})
    seen = own.get(at("machines", key, "power"))
    if as_json:
        print_json(seen)
    elif action is not None:
        click.echo(f"{name} was ordered {action}; the BMC worker carries it out.")
    else:
        when = f"seen {moment(seen['seen_at'])} UTC" if seen["seen_at"] else "never seen"
        click.echo(f"{name} is {seen['power']} ({when}).")
        if (last := seen["action"]) is not None:
            click.echo(f"Last order: {last['goal']}, {last['outcome'] or last['phase']}. {last['error']}".rstrip())


@machine.command("events")
@click.argument("key")
@as_json
def events(key: str, as_json: bool) -> None:
    """A machine's timeline, oldest first."""
    rows = list(appliance().each(at("machines", key, "events")))
    if as_json:
        print_json({"items": rows, "next": None})
        return
    for each in rows:
        click.echo(f"{moment(each['at'])}  {each['source']:<10}  {each['kind']:<16}  {each['message']}")


@machine.command("explain")
@click.argument("key")
@as_json
def explain(key: str, as_json: bool) -> None:
    """Why a machine is where it is, and what to try."""
    found = appliance().get(at("machines", key, "explain"))
    if as_json:
        print_json(found)
        return
    click.echo(found["summary"])
    click.echo(f"Last evidence: {found['last_evidence']}")
    until = f", until {moment(found['deadline'])} UTC" if found["deadline"] else ""
    click.echo(f"Expected next: {found['expected_next']}{until}")
    if found["activity"] and found["activity"]["log"]:
        click.echo(f"Log: {found['activity']['log']}")
    if found["activity"] and found["activity"]["retry"]:
        click.echo(f"Retry: {found['activity']['retry']}")
    for number, cause in enumerate(found["causes"], 1):
        click.echo(f"{number}. {cause['cause']}\n   {cause['try']}")


for each in (*bmc_commands.COMMANDS, bulk):
    machine.add_command(each)


def _row(found: dict[str, Any]) -> list[str]:
    doing = found["activity"]["what"] if found["activity"] else found["fault"]
    return [str({**found, "at": doing}[name] or "") for name in COLUMNS]


def _described(found: dict[str, Any]) -> list[str]:
    """One fact a line."""
    lines = []
    for name in [*SHOWN, *(each for each in found if each not in SHOWN)]:
        value = found.get(name)
        if name == "activity":
            if value is not None:
                lines += [f"{name:<20} {value['what']}", f"{'':<20} until {moment(value['deadline'])} UTC"]
        elif name == "disks" and (disks := _disks(value or {})):
            lines += [f"{'' if number else name:<20} {line}" for number, line in enumerate(disks)]
        else:
            lines.append(f"{name:<20} {value if isinstance(value, str) else json.dumps(value)}")
    return lines


def _disks(said: dict[str, Any]) -> list[str]:
    """Each with what it is for, and what is known of it."""
    lines = []
    for purpose in PURPOSES:
        value = said.get(purpose)
        for each in value if isinstance(value, list) else [value] if value else []:
            disk = KnownDisk(each, purpose) if isinstance(each, str) else KnownDisk(purpose=purpose, **each)
            known = in_words(disk)
            lines.append(f"{purpose:<6} {disk.path}{known and '  '}{known}")
    return lines


def _identified(found: dict[str, Any]) -> str:
    """Which one it is, for who is about to touch it."""
    what = f"{found['role'] or 'no role'} on {found['release'] or 'no release'}"
    return f"{found['name']} ({found['mac']}, {found['state']}, {what})"
