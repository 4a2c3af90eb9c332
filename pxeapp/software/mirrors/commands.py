"""`pxeapp mirror`: selected parts of upstream repositories, kept here and served to machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pxeapp.client import Appliance, appliance, at
from pxeapp.client.watching import timeout
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, yes
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.task_commands import followed, wait

LISTED = 20  # of what is missing
FLAGS = ("everything", "recommends", "base", "installer", "debug", "source", "accept_unsigned", "accept_expired")


@click.group()
def mirror() -> None:
    """Mirrors of a selected part of an upstream: packages, roles, services, with what they need."""


def _selected(command: Any) -> Any:
    """The options that say what a mirror is of."""
    for option in (
        click.option("--every-hours", type=click.IntRange(0, 8760), help="Sync by itself; 0: never (default)."),
        click.option("--at-once", type=click.IntRange(1, 16), help="Connections to one upstream (default 4)."),
        click.option("--accept-expired/--refuse-expired", default=None, help="Take an index that is out of date."),
        click.option("--accept-unsigned/--refuse-unsigned", default=None, help="Take what nobody vouches for."),
        click.option("--key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The publisher's."),
        click.option("--keyring", help="One that lies on the appliance, as debian-archive-keyring."),
        click.option("--versions", type=click.Choice(["newest", "all"]), help="Of each package (default newest)."),
        click.option("--source/--no-source", default=None, help="Source rpms, too."),
        click.option("--debug/--no-debug", default=None, help="Packages of debug symbols, too."),
        click.option("--installer/--no-installer", default=None, help="What an installer itself needs."),
        click.option("--base/--no-base", default=None, help="What every installed system has."),
        click.option("--recommends/--no-recommends", default=None, help="What packages recommend, too."),
        click.option("--everything/--selected", default=None, help="Every package of the sources."),
        click.option("--set", "variables", multiple=True, metavar="VAR=VALUE", help="A variable of the roles."),
        click.option("--role", "roles", multiple=True, help="A role's packages; repeatable."),
        click.option("--definition", "definitions", multiple=True, help="A service's; see: pxeapp mirror definitions."),
        click.option("--package", "packages", multiple=True, help="A package with what it needs; repeatable."),
        click.option("--architecture", "architectures", multiple=True, help="Default: amd64, or x86_64."),
        click.option(
            "--from",
            "sources",
            multiple=True,
            metavar="SOURCE",
            help='"UPSTREAM SUITE COMPONENT..." (deb) or "UPSTREAM/PATH" (rpm); UPSTREAM is a name or URL; repeatable.',
        ),
        click.option("--release", help="For whose machines it is: debian-13, rocky-9, or a release of yours."),
        click.option("--upstream", help="With --release: whose suites or repositories there are mirrored."),
    ):
        command = option(command)
    return command


@mirror.command("create")
@click.argument("name")
@click.option("--description", default="")
@click.option("--sync/--no-sync", default=True, show_default=True, help="Fetch it now.")
@_selected
@wait
@timeout
@as_json
def create(
    name: str, description: str, sync: bool, wait: bool, timeout: float | None, as_json: bool, **said: Any
) -> None:
    """Add a mirror NAME and sync it."""
    own = appliance()
    made = own.post("/software/mirrors", {"name": name, "description": description, **_given(said)})
    if not as_json:
        click.echo(f"The mirror {name} is of:")
        for source in made["sources"]:
            click.echo(f"  {_source(source)}")
    if sync:
        _synced(own, name, wait=wait, timeout=timeout, as_json=as_json)
    elif as_json:
        print_json(made)
    else:
        click.echo(f"Nothing was fetched yet. Next: pxeapp mirror sync {name}")


@mirror.command("preview")
@click.argument("name", required=False, default="")
@_selected
@timeout
@as_json
def preview(name: str, timeout: float | None, as_json: bool, **said: Any) -> None:
    """Say what the mirror NAME, or one of these options, would come to; fetches indices only."""
    own = appliance()
    task = own.post("/software/mirrors/preview", {**({"name": name} if name else {}), **_given(said)})
    ended = followed(own, task, wait=True, timeout=timeout, as_json=as_json)
    if not as_json:
        result = ended["result"]
        to_fetch = result["to_fetch"]
        click.echo(f"{result['packages']} packages, {size_shown(result['bytes'])}.")
        click.echo(f"To be fetched: {to_fetch['packages']} packages, {size_shown(to_fetch['bytes'])}.")
        _say_missing(result)


@mirror.command("sync")
@click.argument("name")
@wait
@timeout
@as_json
def sync(name: str, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Have the mirror NAME hold what its upstreams have now; what it has already is not fetched again."""
    _synced(appliance(), name, wait=wait, timeout=timeout, as_json=as_json)


@mirror.command("list")
@as_json
def list_mirrors(as_json: bool) -> None:
    """List the mirrors."""
    found = list(appliance().each("/software/mirrors"))
    if as_json:
        print_json({"items": found, "next": None})
    elif not found:
        click.echo("No mirror yet. Try: pxeapp mirror create compute-debian-13 --upstream debian --release debian-13 "
                   "--role compute")  # fmt: skip
    else:
        print_table(("NAME", "KIND", "OF", "PACKAGES", "SIZE", "SYNCED", "STATE"), [_row(each) for each in found])


@mirror.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show the mirror NAME: what it is of, what it holds, what is missing."""
    found = appliance().get(at("software", "mirrors", name))
    if as_json:
        print_json(found)
        return
    hidden = {"sources", "unsatisfied", "remarks", "packages_of_roles", "key", "roles"}
    for field, value in found.items():
        if field not in hidden and value not in ("", [], None, False):
            click.echo(f"{field:<16} {value if isinstance(value, str) else json.dumps(value)}".rstrip())
    for source in found["sources"]:
        click.echo(f"{'source':<16} {_source(source)}")
    for role in found["roles"]:
        variables = " ".join(f"{key}={value}" for key, value in role["vars"].items())
        click.echo(f"{'role':<16} {role['role']} {variables}".rstrip())
    _say_missing(found)


@mirror.command("change")
@click.argument("name")
@click.option("--description", default=None)
@_selected
@as_json
def change(name: str, description: str | None, as_json: bool, **said: Any) -> None:
    """Change what the mirror NAME is of; what is served stays until the next sync."""
    own = appliance()
    given = {**({} if description is None else {"description": description}), **_given(said)}
    if not given:
        problem = FieldProblem("options", "None is given.", "Say what is to change; see: pxeapp mirror change --help")
        raise Invalid("Nothing was changed.", problems=[problem])
    found = own.patch(at("software", "mirrors", name), given)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{name} is changed. What machines get changes with: pxeapp mirror sync {name}")


@mirror.command("delete")
@click.argument("name")
@yes
def delete(name: str, yes: bool) -> None:
    """Remove the mirror NAME; machines get nothing from it any more. Snapshots of it stay."""
    own = appliance()
    found = own.get(at("software", "mirrors", name))
    agree(f"The mirror {name} ({found['package_count']} packages, {size_shown(found['bytes'])}) is removed.", yes=yes)
    own.delete(at("software", "mirrors", name))
    click.echo(f"{name} is removed. Its files leave the disk with: pxeapp software clean")


@mirror.command("definitions")
@click.argument("name", required=False, default="")
@as_json
def show_definitions(name: str, as_json: bool) -> None:
    """List the ready definitions, or the packages of the one called NAME."""
    found = [each for each in appliance().each("/software/definitions") if not name or each["name"] == name]
    if as_json:
        print_json({"items": found, "next": None})
    elif not found:
        raise Invalid(f"There is no definition {name}.", hint="See: pxeapp mirror definitions")
    elif name:
        for family, packages in found[0]["packages"].items():
            click.echo(f"{family:<8} {' '.join(packages) or 'it has none'}")
    else:
        print_table(("NAME", "WHAT"), [(each["name"], each["title"]) for each in found])


def _synced(own: Appliance, name: str, *, wait: bool, timeout: float | None, as_json: bool) -> None:
    task = own.post(at("software", "mirrors", name, "sync"))
    ended = followed(own, task, wait=wait, timeout=timeout, as_json=as_json)
    if as_json or ended["state"] != "done":
        return
    result = ended["result"]
    fetched = result["fetched"]
    if not result["changed"]:
        click.echo(f"{name} is up to date: {result['packages']} packages, {size_shown(result['bytes'])}.")
        return
    click.echo(f"{name} holds {result['packages']} packages, {size_shown(result['bytes'])}; fetched were "
               f"{fetched['packages']}, {size_shown(fetched['bytes'])}.")  # fmt: skip
    _say_missing(result)


def _say_missing(found: Mapping[str, Any]) -> None:
    for remark in found["remarks"]:
        click.echo(f"Note: {remark}")
    missing = found["unsatisfied"]
    if not missing:
        return
    click.echo(f"Missing upstream: {found.get('missing', len(missing))}")
    for each in missing[:LISTED]:
        click.echo(f"  {each['what']}, which {', '.join(each['by'][:3])}{' ...' if len(each['by']) > 3 else ''} needs")
    if len(missing) > LISTED:
        click.echo("  ... all of them: --json")


def _given(said: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as the API takes them."""
    found = {
        name: said[name]
        for name in (*FLAGS, "upstream", "release", "versions", "keyring", "at_once", "every_hours")
        if said[name] is not None
    }
    found |= {name: list(said[name]) for name in ("packages", "definitions", "architectures") if said[name]}
    if said["sources"]:
        found["sources"] = [read_source(each) for each in said["sources"]]
    variables = dict(read_variable(each) for each in said["variables"])
    if variables and not said["roles"]:
        problem = FieldProblem("--set", "is of no use without --role.", "Name the roles again.")
        raise Invalid("The mirror cannot be saved.", problems=[problem])
    if said["roles"]:
        found["roles"] = [{"role": role, "vars": variables} for role in said["roles"]]
    if said["key"] is not None:
        found["key"] = said["key"].read_text(encoding="ascii", errors="replace")
    return found


def read_source(text: str) -> dict[str, Any]:
    words = text.split()
    place, suite, components = words[0] if words else "", words[1] if len(words) > 1 else "", words[2:]
    if "://" in place or suite:
        return {"upstream": place, "suite": suite, "components": components or (["main"] if suite else [])}
    upstream, _, path = place.partition("/")
    return {"upstream": upstream, "path": path}


def read_variable(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        problem = FieldProblem("--set", f"{text!r} is no VAR=VALUE.", "Write --set neutron=ovn.")
        raise Invalid("The mirror cannot be saved.", problems=[problem])
    return name, {"true": True, "false": False}.get(value.lower(), value)


def _source(source: Mapping[str, Any]) -> str:
    return " ".join(
        part for part in (source["upstream"], source["path"], source["suite"], *source["components"]) if part
    )


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    of = [*(each["role"] for each in found["roles"]), *found["definitions"], *found["packages"]]
    what = "everything" if found["everything"] else " ".join(of)
    missing = f"{len(found['unsatisfied'])} missing upstream" if found["unsatisfied"] else "whole"
    state = found["problem"] or (missing if found["published_at"] else "not synced yet")
    return (
        found["name"], found["kind"], what if len(what) <= 40 else f"{what[:37]}...", str(found["package_count"]),
        size_shown(found["bytes"]), moment(found["synced_at"]) if found["synced_at"] else "never", state,
    )  # fmt: skip
