"""`pxeapp rollout ...`: planned, started, watched and steered, here and on an appliance elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pxeapp import config
from pxeapp.client import Appliance, appliance, at
from pxeapp.client.watching import Picture, follow, shown, timeout, watch
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, working, yes
from pxeapp.db import Database, now
from pxeapp.errors import Conflict
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts import rehearse as rehearsing
from pxeapp.rollouts import text
from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.rehearse import Fault
from pxeapp.sentences import few
from pxeapp.templates import Templates
from pxeapp.vault import open_vault

EVENTS = "rollout.*"
MEDIA = {".json": "application/json"}  # whatever else is YAML
HEAD = ("ID", "NAME", "STATE", "WAVE", "MACHINES", "DONE", "RUNNING", "FAILED", "BY", "MADE")
MEMBER_HEAD = ("WAVE", "MACHINE", "STATE", "STEP", "WHAT")
OVER = ("done", "failed", "aborted")
NAMED = 8
number = click.argument("number", type=click.IntRange(1, 2**31 - 1))
file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
reason = click.option("--reason", default="", help="Everybody sees it.")
of_machine = click.option("--machine", default="", help="This machine.")
of_wave = click.option(
    "--wave", type=click.IntRange(0), default=None, help="All machines of this wave; 0: the canaries."
)


@click.group()
def rollout() -> None:
    """Rollouts: a patch, a reinstallation or a reboot over many machines that serve."""


@rollout.command("preview")
@file
@as_json
def preview(file: Path, as_json: bool) -> None:
    """Show what the rollout in a YAML or JSON FILE would do; nothing is saved."""
    with working("Planning ..."):
        found = _send(appliance(), "/rollouts/preview", file)
    if as_json:
        print_json(found)
    else:
        _print_plan(found)


@rollout.command("packages")
@file
@as_json
def packages(file: Path, as_json: bool) -> None:
    """Show what a patch would change on each machine; every one is asked over ssh, nothing is changed."""
    with working("Asking the machines ..."):
        found = _send(appliance(), "/rollouts/packages", file)
    if as_json:
        print_json(found)
        return
    for group in found["groups"]:
        click.echo(f"{few(group['machines'], NAMED)}: {len(group['changes'])} packages")
        for each in group["changes"]:
            click.echo(f"  {each['name']} {each['old'] or '-'} -> {each['new'] or '-'}")
    for name, why in found["not_asked"].items():
        click.echo(f"{name} could not be asked: {why}")


@rollout.command("rehearse")
@file
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="MACHINE:STEP=KIND",
    help="fails, hangs or slow, on one machine or on *; *:verify=fails@5% on a share; may be repeated.",
)
@click.option("--seed", type=int, default=0, help="Other dice.")
@click.option("--go-on", is_flag=True, help="Resume whenever it pauses by itself.")
@as_json
def rehearse(file: Path, faults: tuple[str, ...], seed: int, go_on: bool, as_json: bool) -> None:
    """Play the rollout in FILE through on simulated machines, in fast-forward; works on the appliance itself."""
    settings = config.load()
    written = text.read(file.read_text())
    tools = Tools(settings, open_vault(settings.data_dir), Templates(settings.templates_dir))
    database = Database(settings.database_url)
    try:
        with written.locating(), working("Rehearsing ..."):
            said = [Fault.parse(each, written.spec) for each in faults]
            found = rehearsing.rehearse(
                database, written.spec, tools=tools, faults=said, seed=seed, now=now(), go_on=go_on
            )
    finally:
        database.dispose()
    if as_json:
        print_json(found.to_dict())
        return
    for line in found.course:
        click.echo(f"{as_text(dt.timedelta(seconds=line['at_s'])):>8}  {line['message']}")
    ended = ", ".join(f"{number} {state}" for state, number in found.ended.items())
    took = as_text(dt.timedelta(seconds=int(found.took.total_seconds())))
    click.echo(f"It is {found.state} after {took}: {ended}. At most {found.worst} of {found.allowed} were down.")


@rollout.command("create")
@file
@click.option("--start", "begin", is_flag=True, help="And start it.")
@yes
@as_json
def create(file: Path, begin: bool, yes: bool, as_json: bool) -> None:
    """Make a rollout of a YAML or JSON FILE; nothing begins before it is started."""
    own = appliance()
    if begin:
        plan = _send(own, "/rollouts/preview", file)
        total = plan["total"]
        _print_plan(plan, err=True)
        agree(f"It starts at once, on {total} machines.", yes=yes, type_in=str(total))
    made = _send(own, "/rollouts", file)
    if begin:
        made = own.post(at("rollouts", made["id"], "start"), version=made["version"])
    if as_json:
        print_json(made)
    else:
        what = "runs" if begin else f"is planned; start it: pxeapp rollout start {made['id']}"
        click.echo(f"Rollout {made['id']} ({made['name']}) {what}")


@rollout.command("list")
@click.option("--state", default="", help="Only those in this state.")
@watch
@timeout
@as_json
def list_rollouts(state: str, watch: bool, timeout: float | None, as_json: bool) -> None:
    """List rollouts, oldest first."""
    own = appliance()

    def look() -> Picture:
        rows = list(own.each("/rollouts", state=state))
        return Picture({"items": rows, "next": None}, HEAD, [_row(each) for each in rows])

    shown(own, look, events=EVENTS, watch=watch, timeout=timeout, as_json=as_json)


@rollout.command("show")
@number
@of_wave
@click.option("--state", default="", help="Only machines in this state.")
@as_json
def show(number: int, wave: int | None, state: str, as_json: bool) -> None:
    """Show a rollout, its budget and its machines."""
    own = appliance()
    found = own.get(at("rollouts", number))
    members = list(own.each(at("rollouts", number, "members"), wave=wave, state=state))
    if as_json:
        print_json({**found, "members": members})
        return
    for line in _described(found):
        click.echo(line)
    click.echo()
    print_table(MEMBER_HEAD, [_member_row(each) for each in members])


@rollout.command("machine")
@number
@click.argument("machine")
@click.option("--log", is_flag=True, help="With what each step wrote.")
@as_json
def machine(number: int, machine: str, log: bool, as_json: bool) -> None:
    """Show one MACHINE of a rollout with every try of each step."""
    found = appliance().get(at("rollouts", number, "members", machine))
    if as_json:
        print_json(found)
        return
    print_table(MEMBER_HEAD, [_member_row(found)])
    click.echo()
    print_table(
        ("STEP", "TRY", "BEGAN", "ENDED", "OUTCOME", "WHAT"),
        [
            (
                each["step"], str(each["tries"]), moment(each["started_at"]), moment(each["finished_at"] or ""),
                each["outcome"] or "", each["says"],
            )
            for each in found["steps"]
        ],
    )  # fmt: skip
    if log:
        for each in found["steps"]:
            if each["log"]:
                click.echo(f"\n==> {each['step']}, try {each['tries']} <==\n{each['log']}")


@rollout.command("watch")
@number
@timeout
@as_json
def watch_rollout(number: int, timeout: float | None, as_json: bool) -> None:
    """Show a rollout live until it is over or needs somebody; exit code 1 unless it is done."""
    own = appliance()
    last = follow(own, lambda: _picture(own, number), events=EVENTS, timeout=timeout, as_json=as_json)
    if last.failed:
        raise Conflict(f"Rollout {number} is {last.value['state']}: {last.value['reason']}")


@rollout.command("start")
@number
@yes
def start(number: int, yes: bool) -> None:
    """Start a planned rollout."""
    own = appliance()
    found = own.get(at("rollouts", number))
    total = str(found["total"])
    agree(f"Rollout {number} ({found['name']}) takes {total} machines out of service, within its limits.", yes=yes,
          type_in=total)  # fmt: skip
    _say(own.post(at("rollouts", number, "start"), version=found["version"]))


@rollout.command("pause")
@number
@reason
def pause(number: int, reason: str) -> None:
    """Begin nothing more of a rollout; what is in hand is brought to its end."""
    _steer(number, ("pause",), {"reason": reason})


@rollout.command("resume")
@number
def resume(number: int) -> None:
    """Go on after a pause."""
    _steer(number, ("resume",))


@rollout.command("continue")
@number
@click.option("--wave", type=click.IntRange(0), default=None, help="Behind this wave; left out: where it waits.")
def go_on(number: int, wave: int | None) -> None:
    """Pass a pause point."""
    _steer(number, ("continue",), {"wave": wave})


@rollout.command("abort")
@number
@reason
@yes
def abort(number: int, reason: str, yes: bool) -> None:
    """End a rollout for good; what is in hand is brought to a safe end."""
    own = appliance()
    found = own.get(at("rollouts", number))
    agree(f"Rollout {number} ({found['name']}) is ended for good.", yes=yes)
    _say(own.post(at("rollouts", number, "abort"), {"reason": reason}, version=found["version"]))


@rollout.command("skip")
@number
@of_machine
@of_wave
@yes
def skip(number: int, machine: str, wave: int | None, yes: bool) -> None:
    """Leave a machine out, or all of a wave that waits or has failed."""
    place = _place(machine, wave, "skip")
    if wave is not None:
        agree(f"All of wave {wave} that waits or has failed is left out.", yes=yes)
    _steer(number, place)


@rollout.command("retry")
@number
@of_machine
@of_wave
@click.option("--step", default="", help="From this step on; undrain puts it back as it is.")
def retry(number: int, machine: str, wave: int | None, step: str) -> None:
    """Try a machine again that failed, or all of a wave that did."""
    _steer(number, _place(machine, wave, "retry"), {"step": step})


@rollout.command("breaker")
@click.option("--reset", is_flag=True, help="Reinstall again; what failed before is not counted any more.")
@yes
@as_json
def breaker(reset: bool, yes: bool, as_json: bool) -> None:
    """Show whether reinstalling is stopped because most installations failed, or have it go on."""
    own = appliance()
    found = own.get("/breaker")
    if reset:
        agree(
            f"Machines that work are erased and installed again, although {found['reason'] or 'nothing failed'}.",
            yes=yes,
        )
        found = own.post("/breaker/reset")
    if as_json:
        print_json(found)
    else:
        click.echo(f"It is open: {found['reason']}." if found["open"] else "It is closed: machines are reinstalled.")


def _place(machine: str, wave: int | None, verb: str) -> tuple[str | int, ...]:
    if bool(machine) == (wave is not None):
        raise click.UsageError("Say --machine NAME or --wave NUMBER.")
    return ("members", machine, verb) if machine else ("waves", wave or 0, verb)


def _send(own: Appliance, path: str, file: Path) -> Any:
    media = MEDIA.get(file.suffix.lower(), "application/yaml")
    return own.upload(path, file.read_bytes(), media)


def _steer(number: int, path: Sequence[str | int], body: dict[str, Any] | None = None) -> None:
    """If nobody else has steered it since it was read."""
    own = appliance()
    found = own.get(at("rollouts", number))
    _say(own.post(at("rollouts", number, *path), body, version=found["version"]))


def _say(found: dict[str, Any]) -> None:
    click.echo(f"Rollout {found['id']} ({found['name']}) is {found['state']}. {_word(found)}".rstrip())


def _word(found: dict[str, Any]) -> str:
    return str(found["reason"] or found["says"])


def _picture(own: Appliance, number: int) -> Picture:
    """How it stands now, with the machines that are worked on or have failed."""
    found = own.get(at("rollouts", number))
    busy = [
        each for state in ("running", "failed") for each in own.each(at("rollouts", number, "members"), state=state)
    ]
    stands = found["state"] in OVER or found["state"] == "paused"
    return Picture(
        found, MEMBER_HEAD, [_member_row(each) for each in busy], tuple(_described(found)),
        over=stands and found["counts"]["running"] == 0, failed=found["state"] not in ("done", "running"),
    )  # fmt: skip


def _described(found: dict[str, Any]) -> list[str]:
    counts = ", ".join(f"{count} {state}" for state, count in found["counts"].items() if count)
    lines = [
        f"Rollout {found['id']} ({found['name']}) is {found['state']}. {_word(found)}".rstrip(),
        f"{found['total']} machines: {counts}.",
    ]
    lines += [
        f"{each['name']}: {each['down']} of {each['allowed']} down{_who(each['who'])}" for each in found["budget"]
    ]
    return lines


def _who(who: Sequence[str]) -> str:
    return f": {', '.join(who)}" if who else ""


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    counts = found["counts"]
    return (
        str(found["id"]), found["name"], found["state"], str(found["wave"]), str(found["total"]), str(counts["done"]),
        str(counts["running"]), str(counts["failed"]), found["created_by"], moment(found["created_at"]),
    )  # fmt: skip


def _member_row(found: dict[str, Any]) -> tuple[str, ...]:
    what = found["reason"] if found["state"] == "failed" else found["says"]
    return str(found["wave"]), found["machine"], found["state"], found["step"], what


def _print_plan(found: dict[str, Any], *, err: bool = False) -> None:
    """Its waves and limits, as people read them."""
    plan = found["plan"]
    click.echo(
        f"{found['total']} machines; at most {plan['max_unavailable']} down, {plan['max_failures']} failures.", err=err
    )
    for wave in plan["waves"]:
        pause = "; then it waits for somebody" if wave["pause"] else ""
        click.echo(f"{wave['title']}: {wave['total']}: {few(wave['names'], NAMED)}{pause}", err=err)
    for group in plan["groups"]:
        click.echo(f"{group['says']}.", err=err)
    for note in plan["notes"]:
        click.echo(note, err=err)
    click.echo(found["forecast"]["says"], err=err)
