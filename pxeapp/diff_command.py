"""`pxeapp diff`: what a change would do to every machine that it touches, before it is saved."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError

from pxeapp import config, wiring
from pxeapp.answers import clusters, roles
from pxeapp.api.context import known_site
from pxeapp.api.diffs import DiffIn
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines import networks, sealed, wire
from pxeapp.machines.models import Cluster
from pxeapp.provisioning import diffs, edits
from pxeapp.provisioning.colours import coloured
from pxeapp.provisioning.diffs import Comparison, Look
from pxeapp.software import releases

SHOWN = 10
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
    "--limit", default=SHOWN, show_default=True, type=click.IntRange(1, 100_000), help="Machines named in each group."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(machines: tuple[str, ...], **said: Any) -> None:
    """What a change would do to MACHINES (all when none is named), file by file; nothing is saved.

    Exit code 0: nothing would change; 1: something would; 2: an error.
    """
    context = wiring.create_context(config.load())
    with context.database.read() as session:
        wanted = _wanted(session, machines, said)
        look = Look(context.checker, known_site(session, context.settings, context.templates))
        found = diffs.compare(session, look, wanted.proposal(), wanted.select.selection(), now=now())
    if said["as_json"]:
        click.echo(json.dumps(found.to_dict(said["limit"]), indent=2))
    else:
        _show(found, said["limit"])
    if found.differs:
        sys.exit(1)


def _wanted(session: Any, machines: Sequence[str], said: Mapping[str, Any]) -> DiffIn:
    """The options as the API would take them; raises Invalid with every problem."""
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
        shown = _SHOWN[changed](session, name)
        patch = body[f"{changed}s"].setdefault(name, {})
        patch.update(edits.patch(shown, said["sets"]))
    selects = {name: said[name] for name in SELECTORS if name != changed}
    body["select"] = {
        "names": list(machines),
        "state": said["state"],
        "label": said["label"],
        **selects,
    }
    try:
        return DiffIn.model_validate(body)
    except ValidationError as error:
        raise Invalid("This cannot be compared.", problems=wire.problems(error)) from None


_SHOWN: dict[str, Any] = {
    "role": lambda session, name: roles.wire(roles.get(session, name)),
    "network": lambda session, name: networks.wire(networks.get(session, name)),
    "cluster": lambda session, name: _cluster(clusters.get(session, name)),
    "release": lambda session, name: releases.wire(releases.get(session, name)),
}


def _cluster(row: Cluster) -> dict[str, Any]:
    """Its secrets are not shown; those that are sent back as three stars stay as they are."""
    return {"description": row.description, "vars": sealed.shown(row.vars), "secrets": {}}


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


def _show(found: Comparison, limit: int) -> None:
    changed = sum(len(group.machines) for group in found.groups)
    for group in found.groups:
        click.echo(click.style(f"{_count(group.machines)}: {_names(group.machines, limit)}", bold=True))
        for file in group.files:
            click.echo(coloured(file.unified(group.machines[0])), nl=False)
        for fault in group.faults.values():
            of_all = len(fault.machines) == len(group.machines)
            who = "" if of_all else f" ({_count(fault.machines)}: {_names(fault.machines, limit)})"
            what = "advice" if fault.fault.advice else "fault, as now" if fault.already else "fault"
            click.echo(click.style(f"{what}: {fault.fault}{who}", fg="red" if fault.grave else "yellow"))
        click.echo()
    for failure in found.failures:
        now_too = " now, and could not then" if failure.already else " any more"
        click.echo(
            click.style(
                f"{_count(failure.machines)} cannot be rendered{now_too}: {_names(failure.machines, limit)}", fg="red"
            )
        )
        click.echo(f"  {failure.reason}\n")
    if found.mended:
        click.echo(f"{_count(found.mended)} cannot be rendered now, and could then: {_names(found.mended, limit)}\n")
    for note in found.notes:
        click.echo(note)
    without = f", {found.without} without release or role" if found.without else ""
    if found.faulty:
        click.echo(
            click.style(
                f"{found.faulty} machines could not be deployed any more: their new files have faults.", fg="red"
            )
        )
    click.echo(
        f"{changed} of {found.looked_at} machines would be given something else; {found.unchanged} would not{without}."
    )


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} machine{'s' if len(names) != 1 else ''}"


def _names(names: Sequence[str], limit: int) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} {MANY.format(len(names) - limit)}" if len(names) > limit else shown
