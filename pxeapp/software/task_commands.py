"""`pxeapp software`: what the software worker does, and making room on the disk.

task = own.post(at("software", "mirrors", name, "sync"))
followed(own, task, wait=wait, timeout=timeout, as_json=as_json)        # what every command that orders one ends with
"""

from __future__ import annotations

import time
from typing import Any

import click

from pxeapp.client import Appliance, Unreachable, appliance, at
from pxeapp.client.watching import Picture, follow, shown, timeout, watch
from pxeapp.commandline import as_json, moment, print_json
from pxeapp.errors import Conflict
from pxeapp.software.content.space import shown as size_shown

HEAD = ("ID", "KIND", "SUBJECT", "STATE", "DONE", "BY", "SINCE", "SAYS")
EVENTS = "software.*,media.*,repository.*,mirror.*,snapshot.*,bundle.*,cache.*"
OVER = ("done", "failed", "cancelled")
LOOK_EVERY_S = 0.5
wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Come back when it is over.")


@click.group()
def software() -> None:
    """Long work on media, mirrors, repositories and bundles: what goes on, and making room."""


@software.command("list")
@click.option("--running", is_flag=True, help="Only what is not over.")
@click.option("--kind", default="", help="Only tasks of this kind, as mirror.sync.")
@click.option("--last", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@watch
@timeout
@as_json
def list_tasks(running: bool, kind: str, last: int, watch: bool, timeout: float | None, as_json: bool) -> None:
    """List tasks, the latest first."""
    own = appliance()

    def look() -> Picture:
        found = own.get("/software/tasks", running=running or None, kind=kind or None, limit=last)
        return Picture(found, HEAD, [_row(each) for each in found["items"]])

    shown(own, look, events=EVENTS, watch=watch, timeout=timeout, as_json=as_json)


@software.command("show")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@watch
@timeout
@as_json
def show(number: int, watch: bool, timeout: float | None, as_json: bool) -> None:
    """Show a task; with --watch until it is over, exit code 1 when it failed."""
    own = appliance()
    last = shown(
        own, lambda: _picture(own.get(at("software", "tasks", number))), events=EVENTS, watch=watch, timeout=timeout,
        as_json=as_json,
    )  # fmt: skip
    if watch and last.failed:
        raise Conflict(last.value["problem"] or f"Task {number} was cancelled.")


@software.command("cancel")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
def cancel(number: int) -> None:
    """Stop a task; what it worked on stays as it was before."""
    found = appliance().post(at("software", "tasks", number, "cancel"))
    click.echo(f"Task {number} is cancelled." if found["state"] == "cancelled" else f"Task {number} stops in a moment.")


@software.command("retry")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@wait
@timeout
@as_json
def retry(number: int, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Order the same as an ended task again."""
    own = appliance()
    task = own.post(at("software", "tasks", number, "retry"))
    followed(own, task, wait=wait, timeout=timeout, as_json=as_json)


@software.command("clean")
@click.option("--older-than-hours", type=click.FloatRange(1, 8760), default=None, help="Default: 24.")
@wait
@timeout
@as_json
def clean(older_than_hours: float | None, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Remove from the disk what no medium, repository, snapshot or bundle holds any more."""
    own = appliance()
    said = {} if older_than_hours is None else {"older_than_hours": older_than_hours}
    ended = followed(own, own.post("/software/clean", said), wait=wait, timeout=timeout, as_json=as_json)
    if ended["state"] == "done" and not as_json:
        result = ended["result"]
        click.echo(f"{result['files']} files are gone, {size_shown(result['bytes'])}; {result['kept']} are kept.")


def followed(
    own: Appliance, task: dict[str, Any], *, wait: bool, timeout: float | None = None, as_json: bool = False
) -> dict[str, Any]:
    """Say that a task was ordered, or show how far it is until it has ended; raises Conflict with why it failed."""
    if not wait:
        if as_json:
            print_json(task)
        else:
            click.echo(f"Task {task['id']} began; see: pxeapp software show {task['id']}")
        return task
    last = follow(
        own, lambda: _picture(own.get(at("software", "tasks", task["id"]))), events=EVENTS, timeout=timeout,
        as_json=as_json,
    )  # fmt: skip
    found: dict[str, Any] = last.value
    if last.failed:
        raise Conflict(found["problem"] or f"Task {task['id']} was cancelled.")
    return found


def after(own: Appliance, kind: str, subject: str, *, timeout: float | None = None) -> None:
    """Come back when no task of this kind works on the subject, which would be refused a second one."""
    for task in own.get("/software/tasks", kind=kind, subject=subject, running=True)["items"]:
        click.echo(f"Task {task['id']} works on {subject} already; this begins after it.", err=True)
        place, until = at("software", "tasks", task["id"]), None if timeout is None else time.monotonic() + timeout
        while own.get(place)["state"] not in OVER:
            if until is not None and time.monotonic() > until:
                raise Unreachable(f"Task {task['id']} was not over in time.", hint="Look again: pxeapp software list")
            time.sleep(LOOK_EVERY_S)


def _picture(found: dict[str, Any]) -> Picture:
    over = found["state"] in OVER
    lines = [found["problem"]] if found["problem"] else []
    return Picture(found, HEAD, [_row(found)], lines, over=over, failed=over and found["state"] != "done")


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(found["id"]), found["kind"], found["subject"], "stopping" if found["cancelling"] else found["state"],
        _done(found), found["requested_by"], moment(found["requested_at"]), found["says"],
    )  # fmt: skip


def _done(found: dict[str, Any]) -> str:
    done, total = found["done"], found["total"]
    if not total:
        return str(done) if done else ""
    part = f"{100 * done // total} %"
    return f"{part} of {size_shown(total)}" if found["unit"] == "bytes" else f"{done} of {total} {found['unit']}"
