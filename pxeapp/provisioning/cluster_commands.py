"""`pxeapp cluster`, here and on an appliance elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from pxeapp.answers.variables.schema import TEXTS
from pxeapp.client import Appliance, appliance, at
from pxeapp.client.version_commands import versioned
from pxeapp.commandline import agree, as_json, print_json, yes


@click.group()
def cluster() -> None:
    """Clusters: variables and secrets that machines share."""


versioned(cluster, "clusters")


@cluster.command("list")
@as_json
def list_clusters(as_json: bool) -> None:
    """List clusters."""
    found = list(appliance().each("/clusters"))
    if as_json:
        print_json({"items": found, "next": None})
        return
    for item in found:
        click.echo(f"{item['name']:<24} {item['machines']:>6} machines  {item['description']}".rstrip())


@cluster.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a cluster; of its secrets, that they are set."""
    found = appliance().get(at("clusters", name))
    if as_json:
        print_json(found)
        return
    click.echo(f"{name}: {found['machines']} machines. {found['description']}".rstrip())
    for variable, value in sorted(found["vars"].items()):
        click.echo(f"  {variable} = {value if isinstance(value, str) else json.dumps(value)}")
    for secret, about in sorted(found["secrets"].items()):
        how = "generated" if about["generated"] else f"set by {about['by']}"
        click.echo(f"  {secret}: {how} at {str(about['at'])[:19]} UTC")


@cluster.command("create")
@click.argument("name")
@click.option("--description", default="", help="One line.")
@click.option("--var", "pairs", multiple=True, metavar="NAME=VALUE", help="A variable; may be repeated.")
def create(name: str, description: str, pairs: tuple[str, ...]) -> None:
    """Add a cluster."""
    own = appliance()
    own.post("/clusters", {"name": name, "description": description, "vars": _vars(own, pairs)})
    click.echo(f"{name} was added; put machines into it with their field cluster.")


@cluster.command("set")
@click.argument("name")
@click.option("--description", default=None, help="One line.")
@click.option("--var", "pairs", multiple=True, metavar="NAME=VALUE", help="A variable; may be repeated.")
@click.option("--unset", multiple=True, metavar="NAME", help="Take a variable away; may be repeated.")
@click.option("--secret", default=None, metavar="NAME", help="Asked for, or read from standard input.")
@click.option("--forget", multiple=True, metavar="NAME", help="Forget a secret; it is made anew when it is needed.")
def change(
    name: str,
    description: str | None,
    pairs: tuple[str, ...],
    unset: tuple[str, ...],
    secret: str | None,
    forget: tuple[str, ...],
) -> None:
    """Change a cluster; machines get it at their next deployment."""
    secrets: dict[str, str | None] = dict.fromkeys(forget)
    if secret is not None:
        secrets[secret] = _secret(secret)
    own = appliance()
    said: dict[str, Any] = {"secrets": secrets} if secrets else {}
    version = None
    if description is not None:
        said["description"] = description
    if pairs or unset:
        before = own.get(at("clusters", name))
        kept = {each: value for each, value in before["vars"].items() if each not in unset}
        said["vars"] = {**kept, **_vars(own, pairs)}
        version = before["version"]
    own.patch(at("clusters", name), said, version=version)
    click.echo(f"{name} was changed; its machines get it at their next deployment.")


@cluster.command("delete")
@click.argument("name")
@yes
def delete(name: str, yes: bool) -> None:
    """Delete a cluster that no machine is in, and its secrets; `restore` brings both back."""
    own = appliance()
    found = own.get(at("clusters", name))
    agree(f"Cluster {name} and its {len(found['secrets'])} secrets are deleted.", yes=yes)
    own.delete(at("clusters", name))
    click.echo(f"{name} was deleted.")


@cluster.command("rotate")
@click.argument("name")
@click.argument("secrets", nargs=-1)
@yes
def rotate(name: str, secrets: tuple[str, ...], yes: bool) -> None:
    """Make the SECRETS of a cluster anew; left out: every generated one that no stored data depend on."""
    own = appliance()
    before = own.get(at("clusters", name))
    which = ", ".join(secrets) or "Every generated secret that no stored data depend on"
    agree(f"{which} of {name} is made anew, for {before['machines']} machines at their next deployment.", yes=yes)
    after = own.post(at("clusters", name, "rotate"), {"secrets": list(secrets)}, version=before["version"])
    changed = [each for each, about in sorted(after["secrets"].items()) if about != before["secrets"].get(each)]
    machines = f"{after['machines']} machines have it after their next deployment"
    click.echo(f"{', '.join(changed) or 'Nothing'} made anew; {machines}.")


def _vars(own: Appliance, pairs: Sequence[str]) -> dict[str, Any]:
    """Texts as they are; whatever is no text by its schema is JSON."""
    types = {each["name"]: each["type"] for each in own.each("/variables")} if pairs else {}
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair[:60]!r} has no =; write NAME=VALUE.")
        found[name] = text
        if types.get(name) not in (*TEXTS, "choice"):
            with suppress(ValueError):  # then it is a text
                found[name] = json.loads(text)
    return found


def _secret(name: str) -> str:
    """Never an argument: a process list shows those to everybody."""
    if sys.stdin.isatty():
        return str(click.prompt(name, hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
