"""`pxeapp machine bulk`: one action on many machines; `pxeapp job`: how far it is, and how each machine fared."""

from __future__ import annotations

import time
from typing import Any

import click

from pxeapp.client import Appliance, Unreachable, appliance, at
from pxeapp.client.watching import LOOK_EVERY_S, Picture, follow, shown, timeout, watch
from pxeapp.commandline import agree, as_json, counting, moment, print_json, print_table, yes
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.sentences import few

ACTIONS = ("deploy", "release", "abort", "power", "label", "maintenance", "lock", "bring", "delete")
VERBS = ("manage", "provide", "retire", "reserve", "unreserve")
FILTERS = ("state", "role", "release", "cluster", "project", "rack", "label", "search", "q")
HEAD = ("ID", "ACTION", "STATE", "TOTAL", "WAITING", "DONE", "REFUSED", "SKIPPED", "BY", "SINCE")
EVENTS = "machine.*,machines.*,job.*"
NAMED = 5


@click.command("bulk")
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("machines", nargs=-1)
@click.option("--state", default="", help="All machines in this state.")
@click.option("--role", default="", help="All machines with this role.")
@click.option("--release", default="", help="All machines with this release.")
@click.option("--cluster", default="", help="All machines of this cluster.")
@click.option("--project", default="", help="All machines of this project.")
@click.option("--rack", default="", help="All machines in this rack.")
@click.option("--label", default="", metavar="KEY=VALUE", help="All machines with this label.")
@click.option("--search", default="", help="Part of name, serial or MAC.")
@click.option("--query", "q", default="", help="A query, as the machines' page takes it.")
@click.option("--everything", is_flag=True, help="All machines there are.")
@click.option("--to-release", default=None, help="deploy: this release; left out: each machine's own.")
@click.option("--to-role", default=None, help="deploy: this role; left out: each machine's own.")
@click.option("--reimage", is_flag=True, help="deploy: machines that are active, too.")
@click.option("--power", type=click.Choice(("on", "off", "cycle")), default=None, help="power: what is ordered.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="label: this one; may be repeated.")
@click.option("--remove", multiple=True, metavar="KEY", help="label: without this one; may be repeated.")
@click.option("--on/--off", "on", default=None, help="maintenance and lock: put on, or taken away.")
@click.option("--reason", default=None, help="maintenance: why.")
@click.option("--verb", type=click.Choice(VERBS), default=None, help="bring: through the lifecycle.")
@click.option("--expect", type=click.IntRange(0), default=None, help="Refuse unless it touches exactly so many.")
@click.option("--dry-run", is_flag=True, help="Only say which machines it would touch.")
@click.option("--wait", is_flag=True, help="Come back when it is over; exit code 1 when a machine refused.")
@timeout
@yes
@as_json
def bulk(
    action: str, machines: tuple[str, ...], expect: int | None, dry_run: bool, wait: bool, timeout: float | None,
    yes: bool, as_json: bool, **said: Any,
) -> None:  # fmt: skip
    """Do one thing to many MACHINES, named or found by what the options say of them."""
    own = appliance()
    body = {"action": action, **_options(said), **_selection(machines, said)}
    radius = own.post("/machines/bulk", {**body, "dry_run": True})
    total = radius["total"]
    if dry_run:
        _show_radius(action, radius, as_json=as_json)
        return
    if expect is not None and expect != total:
        raise Conflict(
            f"This touches {total} machines and not {expect}.", hint="Look with --dry-run. Nothing was done."
        )
    agree(_radius(action, radius), yes=yes, type_in=str(total) if total > 1 else "")
    job = own.post("/machines/bulk", {**body, "expect": total})
    if not wait:
        if as_json:
            print_json(job)
        else:
            click.echo(f"Job {job['id']} began: {action} of {total} machines; see: pxeapp job show {job['id']}")
        return
    _report(own, _waited(own, job, timeout), as_json=as_json)


@click.group()
def job() -> None:
    """Jobs: one action on many machines, see `pxeapp machine bulk`."""


@job.command("list")
@click.option("--running", is_flag=True, help="Only those that are not over.")
@watch
@timeout
@as_json
def list_jobs(running: bool, watch: bool, timeout: float | None, as_json: bool) -> None:
    """List jobs, oldest first."""
    own = appliance()

    def look() -> Picture:
        rows = list(own.each("/jobs", running=running or None))
        return Picture({"items": rows, "next": None}, HEAD, [_row(each) for each in rows])

    shown(own, look, events=EVENTS, watch=watch, timeout=timeout, as_json=as_json)


@job.command("show")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@watch
@timeout
@as_json
def show(number: int, watch: bool, timeout: float | None, as_json: bool) -> None:
    """Show a job and how its machines fared; with --watch until it is over, exit code 1 when one refused."""
    own = appliance()
    if watch:
        last = follow(own, lambda: _picture(own.get(at("jobs", number))), events=EVENTS, timeout=timeout,
                      as_json=as_json)  # fmt: skip
        if last.failed:
            _report(own, last.value, as_json=as_json)
        return
    found = own.get(at("jobs", number))
    items = list(own.each(at("jobs", number, "items")))
    if as_json:
        print_json({**found, "items": items})
        return
    print_table(HEAD, [_row(found)])
    click.echo(found["problem"])
    print_table(
        ("MACHINE", "OUTCOME", "DETAIL"), [(each["machine"], each["outcome"], each["detail"]) for each in items]
    )


@job.command("cancel")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
def cancel(number: int) -> None:
    """Begin nothing more of a job; machines that were begun go on."""
    found = appliance().post(at("jobs", number, "cancel"))
    click.echo(f"Job {number} begins nothing more: {found['done']} done, {found['skipped']} skipped.")


def _waited(own: Appliance, job: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    """The job once it is over; raises Unreachable when the time is over first."""
    until = None if seconds is None else time.monotonic() + seconds
    with counting(f"Job {job['id']}") as count, own.transport.listening(EVENTS) as listening:
        while job["state"] != "finished":
            if until is not None and time.monotonic() > until:
                raise Unreachable(f"Job {job['id']} was not over in time.", hint="It goes on.")
            listening.wait(LOOK_EVERY_S)
            job = own.get(at("jobs", job["id"]))
            count(job["total"] - job["waiting"], job["total"])
    return job


def _report(own: Appliance, job: dict[str, Any], *, as_json: bool) -> None:
    """How it ended; raises Conflict when a machine refused."""
    refused = list(own.each(at("jobs", job["id"], "items"), outcome="refused")) if job["refused"] else []
    if as_json:
        print_json({**job, "items": refused})
    else:
        click.echo(f"{job['done']} done, {job['refused']} refused, {job['skipped']} skipped.")
        for each in refused:
            click.echo(f"{each['machine']}: {each['detail']}")
    if refused:
        raise Conflict(f"{len(refused)} of {job['total']} machines refused.")


def _picture(found: dict[str, Any]) -> Picture:
    over = found["state"] == "finished"
    return Picture(found, HEAD, [_row(found)], over=over, failed=over and bool(found["refused"]))


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    numbers = (str(found[name]) for name in ("total", "waiting", "done", "refused", "skipped"))
    state = "cancelled" if found["cancelled"] else found["state"]
    return (
        str(found["id"]), found["action"], state, *numbers, found["requested_by"], moment(found["requested_at"]),
    )  # fmt: skip


def _options(said: dict[str, Any]) -> dict[str, Any]:
    """What the action is told, as the API has it."""
    found = {
        "release": said["to_release"], "role": said["to_role"], "reimage": said["reimage"] or None,
        "power": said["power"], "remove": list(said["remove"]) or None, "on": said["on"], "reason": said["reason"],
        "verb": said["verb"], "set": dict(_pair(each) for each in said["sets"]) or None,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def _selection(machines: tuple[str, ...], said: dict[str, Any]) -> dict[str, Any]:
    narrowed = {name: said[name] for name in FILTERS if said[name]}
    chosen: dict[str, Any] = {"machines": list(machines)} if machines else {}
    if narrowed or said["everything"]:
        chosen["filter"] = narrowed
    return {**chosen, "everything": True} if said["everything"] else chosen


def _pair(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals or not name:
        problem = FieldProblem("--set", f"{said[:60]!r} is not KEY=VALUE.", "Write the name, =, and a value.")
        raise Invalid("Nothing was done.", problems=[problem])
    return name, value


def _radius(action: str, radius: dict[str, Any]) -> str:
    """How far it reaches, in one sentence."""
    states = ", ".join(f"{count} {state}" for state, count in radius["by_state"].items())
    names = few(radius["machines"], NAMED, of=radius["total"])
    return f"{action} of {radius['total']} machines ({states or 'none'}): {names}."


def _show_radius(action: str, radius: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(radius)
        return
    click.echo(_radius(action, radius))
    for name in radius["machines"]:
        click.echo(name)
