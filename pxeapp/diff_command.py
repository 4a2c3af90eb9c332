"""`pxeapp diff`: what a change would do to every machine that it touches, before it is saved."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.progress import Progress

from pxeapp import config, wiring
from pxeapp.client import Appliance, Unreachable, appliance, at
from pxeapp.commandline import as_json, print_json
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.provisioning import comparing, edits
from pxeapp.provisioning.colours import coloured

MOST_NAMED = 1000  # machines of a group in one answer
SHOWN = 10
LOOK_EVERY_S = 0.5
PATIENCE_S = 4 * 3600.0
LEAVE_S = 10.0  # for what is in hand to be given back
MANY = "and {} more"
FILES = ("role", "network", "release", "cluster")
SELECTORS = ("role", "release", "cluster")


@click.command()
@click.argument("machines", nargs=-1)
@click.option("--template", "templates", multiple=True, metavar="NAME=FILE", help="This text as template NAME.")
@click.option("--without-template", "without", multiple=True, metavar="NAME", help="The site's own NAME deleted.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="FIELD=VALUE",
    help="In the --role, --network or --release: set a field, or += and -= for lists.",
)
@click.option("--role", default="", help="With --set: the role that is changed. Else: only machines with it.")
@click.option("--network", default="", help="With --set: the network that is changed.")
@click.option("--release", default="", help="With --set: the release that is changed. Else: only machines with it.")
@click.option("--role-file", "role_files", multiple=True, metavar="NAME=FILE", help="A role's changes, as YAML.")
@click.option("--network-file", "network_files", multiple=True, metavar="NAME=FILE", help="A network's changes.")
@click.option("--release-file", "release_files", multiple=True, metavar="NAME=FILE", help="A release's changes.")
@click.option("--cluster-file", "cluster_files", multiple=True, metavar="NAME=FILE", help="A cluster's changes.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="A variable of each selected machine.")
@click.option("--to-release", default=None, help="The selected machines moved to this release.")
@click.option("--to-role", default=None, help="The selected machines moved to this role.")
@click.option("--state", default="", help="Only machines in this state.")
@click.option("--cluster", default="", help="With --set: the cluster that is changed. Else: only machines in it.")
@click.option("--label", default="", metavar="KEY=VALUE", help="Only machines with this label.")
@click.option(
    "--limit",
    default=SHOWN,
    show_default=True,
    type=click.IntRange(1, MOST_NAMED),
    help="Machines named in each group.",
)
@as_json
def diff(machines: tuple[str, ...], **said: Any) -> None:
    """What a change would do to MACHINES (all when none is named), file by file; nothing is saved.

    Exit code 0: nothing would change; 1: something would; 2: an error.
    """
    own = appliance()
    found = own.post("/diff", {**_wanted(own, machines, said), "limit": said["limit"]})
    if "differs" not in found:  # these are so many machines that a job looks at them
        found = _awaited(own, found)
    if said["as_json"]:
        print_json(found)
    else:
        _show(found)
    if found["differs"]:
        sys.exit(1)


def _awaited(own: Appliance, job: dict[str, Any]) -> dict[str, Any]:
    """What the job found; meanwhile a terminal sees how far it is."""
    number, console, until = job["id"], Console(stderr=True), time.monotonic() + PATIENCE_S
    with contextlib.ExitStack() as stack:
        if not own.remote:
            stack.enter_context(_comparing())
        bar = stack.enter_context(Progress(console=console, transient=True, disable=not console.is_terminal))
        task = bar.add_task("Machines compared", total=job["total"])
        while job["state"] != "finished":
            if time.monotonic() > until:
                raise Unreachable(f"Job {number} was not over in time.", hint=f"See: pxeapp job show {number}")
            time.sleep(LOOK_EVERY_S)
            job = own.get(at("jobs", number))
            bar.update(task, completed=job["done"], total=job["total"])
    return dict(own.get(at("jobs", number, "comparison")))


@contextlib.contextmanager
def _comparing() -> Iterator[None]:
    """This very process compares as well, for no worker need be running here."""
    context, stop = wiring.create_context(config.load()), threading.Event()
    hands = comparing.Hands(context.database, context.vault, context.checker)
    comparer = comparing.Comparer(hands, f"diff:{socket.gethostname()}:{os.getpid()}")
    thread = threading.Thread(target=comparer.run, args=(stop,), name="comparisons", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LEAVE_S)
        context.database.dispose()


def _wanted(own: Appliance, machines: Sequence[str], said: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the API takes them; raises Invalid for what is wrong with them."""
    body: dict[str, Any] = {
        "templates": {
            **{name: file.read_text() for name, file in _files("template", said["templates"])},
            **dict.fromkeys(said["without"]),
        },
        "vars": dict(_variable(each) for each in said["variables"]),
        "to_release": said["to_release"],
        "to_role": said["to_role"],
    }
    for what in FILES:
        body[f"{what}s"] = {
            name: _yaml(f"--{what}-file", file) for name, file in _files(f"{what}-file", said[f"{what}_files"])
        }
    changed = _changed(said)
    if changed:
        name = said[changed]
        shown = _present(own, changed, name)
        patch = body[f"{changed}s"].setdefault(name, {})
        patch.update(edits.patch(shown, said["sets"]))
    selects = {name: said[name] for name in SELECTORS if name != changed}
    body["select"] = {"names": list(machines), "state": said["state"], "label": said["label"], **selects}
    return body


def _present(own: Appliance, kind: str, name: str) -> dict[str, Any]:
    """What is changed, as it is now; of a cluster what is no secret: those are not shown."""
    found: dict[str, Any] = own.get(at(f"{kind}s", name))
    return {"description": found["description"], "vars": found["vars"], "secrets": {}} if kind == "cluster" else found


def _changed(said: Mapping[str, Any]) -> str:
    """Which of --network, --release and --role the --set options are for."""
    named = [what for what in ("network", "cluster", "release") if said[what]] if said["sets"] else []
    if said["network"] and not said["sets"]:
        raise _bad("--network", "says which network is changed, but not what.", "Add --set FIELD=VALUE.")
    if len(named) > 1:
        raise _bad(
            "--set",
            "is for one thing at a time.",
            "Give the other as --network-file, --cluster-file or --release-file.",
        )
    if not said["sets"]:
        return ""
    if not named and not said["role"]:
        raise _bad("--set", "does not say of what.", "Add --role, --network, --release or --cluster.")
    return named[0] if named else "role"


def _files(option: str, said: Sequence[str]) -> list[tuple[str, Path]]:
    found = []
    for each in said:
        name, equals, file = each.partition("=")
        if not equals or not name or not file:
            raise _bad(f"--{option}", f"{each!r} is not NAME=FILE.", "Write the name, =, and a file.")
        path = Path(file)
        if not path.is_file():
            raise _bad(f"--{option}", f"there is no file {file}.", "Check its path.")
        found.append((name, path))
    return found


def _yaml(option: str, file: Path) -> Any:
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _bad(option, f"{file} is not YAML: {str(error).splitlines()[0]}.", "Correct it.") from None
    if not isinstance(found, dict):
        raise _bad(option, f"{file} holds no fields.", "Write one FIELD: VALUE on each line.")
    return found


def _variable(said: str) -> tuple[str, Any]:
    name, equals, value = said.partition("=")
    if not equals or not name:
        raise _bad("--var", f"{said!r} is not NAME=VALUE.", "Leave VALUE empty to take the variable away.")
    return name, edits.value("--var", value)


def _bad(field: str, problem: str, fix: str) -> Invalid:
    return Invalid("This cannot be compared.", problems=[FieldProblem(field, problem, fix)])


def _show(found: dict[str, Any]) -> None:
    for group in found["groups"]:
        click.echo(click.style(_named(group), bold=True))
        for file in group["files"]:
            click.echo(coloured(file["diff"]), nl=False)
        for fault in group["faults"]:
            of_all = fault["count"] == group["count"]
            who = "" if of_all else f" ({_named(fault)})"
            what = "advice" if fault["advice"] else "fault, as now" if fault["already"] else "fault"
            grave = not fault["advice"] and not fault["already"]
            click.echo(click.style(f"{what}: {fault['text']}{who}", fg="red" if grave else "yellow"))
        click.echo()
    for failure in found["failures"]:
        now_too = " now, and could not then" if failure["already"] else " any more"
        click.echo(click.style(f"{_count(failure['count'])} cannot be rendered{now_too}: {_names(failure)}", fg="red"))
        click.echo(f"  {failure['reason']}\n")
    if found["mended"]["count"]:
        mended = found["mended"]
        click.echo(f"{_count(mended['count'])} cannot be rendered now, and could then: {_names(mended)}\n")
    for note in found["notes"]:
        click.echo(note)
    without = (
        f", {found['without_release_or_role']} without release or role" if found["without_release_or_role"] else ""
    )
    if found["faulty"]:
        sentence = f"{found['faulty']} machines could not be deployed any more: their new files have faults."
        click.echo(click.style(sentence, fg="red"))
    changed = f"{found['changed']} of {found['looked_at']} machines would be given something else"
    click.echo(f"{changed}; {found['unchanged']} would not{without}.")


def _count(number: int) -> str:
    return f"{number} machine{'s' if number != 1 else ''}"


def _named(some: Mapping[str, Any]) -> str:
    return f"{_count(some['count'])}: {_names(some)}"


def _names(some: Mapping[str, Any]) -> str:
    shown = ", ".join(some["machines"])
    return f"{shown} {MANY.format(some['more'])}" if some["more"] else shown
