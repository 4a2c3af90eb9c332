"""`pxeapp deployment`: the attempts, and how one of them goes on."""

from __future__ import annotations

import time
from typing import Any

import click

from pxeapp.client import Appliance, Unreachable, appliance, at
from pxeapp.client.watching import LOOK_EVERY_S, Picture, shown, timeout, watch
from pxeapp.commandline import as_json, moment
from pxeapp.errors import Conflict

HEAD = ("ID", "MACHINE", "RELEASE", "ROLE", "STEP", "SINCE", "OUTCOME", "REASON")
SUCCEEDED = "succeeded"


@click.group()
def deployment() -> None:
    """Deployments: every attempt to install a machine."""


@deployment.command("list")
@click.option("--machine", default="", help="Only those of this machine.")
@click.option("--running", is_flag=True, help="Only those that are not over.")
@watch
@timeout
@as_json
def list_deployments(machine: str, running: bool, watch: bool, timeout: float | None, as_json: bool) -> None:
    """List deployments, oldest first."""
    own = appliance()

    def look() -> Picture:
        rows = list(own.each("/deployments", machine=machine, running=running or None))
        return Picture({"items": rows, "next": None}, HEAD, [_row(each) for each in rows])

    shown(own, look, events="machine.*", watch=watch, timeout=timeout, as_json=as_json)


@deployment.command("show")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@watch
@timeout
@as_json
def show(number: int, watch: bool, timeout: float | None, as_json: bool) -> None:
    """Show a deployment with its steps; with --watch until it is over, exit code 1 when it fails."""
    own = appliance()

    def look() -> Picture:
        return attempt(own.get(at("deployments", number)))

    last = shown(own, look, events="machine.*", watch=watch, timeout=timeout, as_json=as_json)
    if watch and last.failed:
        raise Conflict(f"Deployment {number} {last.value['outcome']}: {last.value['reason']}")


def attempt(found: dict[str, Any]) -> Picture:
    """One attempt, step by step."""
    rows = [(each["step"], moment(each["at"]), each["message"]) for each in found["steps"]]
    title = f"Deployment {found['id']} of {found['machine']}: {found['release']} as {found['role']}"
    if found["outcome"] is None:
        what = f": {found['progress']}" if found["progress"] else ""
        now = f"{title}, at {found['step']}{what}, until {moment(found['step_deadline'])} UTC."
    else:
        now = f"{title}, {found['outcome']}. {found['reason']}".rstrip()
    failed = found["outcome"] not in (None, SUCCEEDED)
    return Picture(found, ("STEP", "AT", "SEEN BY"), rows, (now,), over=found["outcome"] is not None, failed=failed)


def ended(own: Appliance, number: int, seconds: float | None) -> Picture:
    """An attempt once it is over; raises Unreachable when the time is over first."""
    until = None if seconds is None else time.monotonic() + seconds
    with own.transport.listening("machine.*") as listening:
        while not (found := attempt(own.get(at("deployments", number)))).over:
            if until is not None and time.monotonic() > until:
                raise Unreachable(f"Deployment {number} was not over in time.", hint="It goes on.")
            listening.wait(LOOK_EVERY_S)
    return found


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(found["id"]), found["machine"], found["release"], found["role"], found["step"],
        moment(found["step_since"]), found["outcome"] or "", found["reason"] or found["progress"],
    )  # fmt: skip
