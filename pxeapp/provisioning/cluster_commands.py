"""`pxeapp cluster`: straight on the appliance's database, through the same functions as the API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click
from sqlalchemy.orm import Session

from pxeapp import config
from pxeapp.answers import clusters
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.answers.variables.schema import TEXTS
from pxeapp.commandline import ACTOR, as_json
from pxeapp.db import Database, now
from pxeapp.machines.models import Cluster
from pxeapp.provisioning import members
from pxeapp.templates import Templates
from pxeapp.vault import open_vault


@click.group()
def cluster() -> None:
    """Clusters: variables and secrets that machines share."""


@cluster.command("list")
@as_json
def list_clusters(as_json: bool) -> None:
    """List clusters."""
    found: list[dict[str, Any]] = []
    with Database(config.load().database_url).read() as session:
        rows: Sequence[Cluster] = clusters.listing(session, limit=1000)
        while rows:
            sizes = clusters.sizes(session, rows)
            found += [clusters.wire(row, sizes[row.name]) for row in rows]
            rows = clusters.listing(session, after=rows[-1].name, limit=1000)
    if as_json:
        click.echo(json.dumps({"items": found, "next": None}, indent=2))
        return
    for item in found:
        click.echo(f"{item['name']:<24} {item['machines']:>6} machines  {item['description']}".rstrip())


@cluster.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a cluster; of its secrets, that they are set."""
    with Database(config.load().database_url).read() as session:
        row = clusters.get(session, name)
        found = clusters.wire(row, clusters.sizes(session, [row])[name])
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{name}: {found['machines']} machines. {found['description']}".rstrip())
    for variable, value in sorted(found["vars"].items()):
        click.echo(f"  {variable} = {value if isinstance(value, str) else json.dumps(value)}")
    for secret, about in found["secrets"].items():
        how = "generated" if about["generated"] else f"set by {about['by']}"
        click.echo(f"  {secret}: {how} at {str(about['at'])[:19]} UTC")


@cluster.command("create")
@click.argument("name")
@click.option("--description", default="", help="One line.")
@click.option("--var", "pairs", multiple=True, metavar="NAME=VALUE", help="A variable; may be repeated.")
def create(name: str, description: str, pairs: tuple[str, ...]) -> None:
    """Add a cluster."""
    with _changing() as (session, hand):
        clusters.create(session, hand, {"name": name, "description": description, "vars": _vars(hand, pairs)})
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
    templates = Templates(config.load().templates_dir)
    with _changing() as (session, hand):
        row = clusters.get(session, name, lock=True)
        said: dict[str, Any] = {"description": row.description if description is None else description}
        kept = {each: value for each, value in row.vars.items() if each not in unset}
        said["vars"] = {**kept, **_vars(hand, pairs)}
        members.change_cluster(session, templates, hand, name, {**said, "secrets": secrets})
    click.echo(f"{name} was changed; its machines get it at their next deployment.")


@cluster.command("delete")
@click.argument("name")
def delete(name: str) -> None:
    """Forget a cluster that no machine is in, and its secrets."""
    with _changing() as (session, _):
        clusters.delete(session, name, actor=ACTOR, now=now())
    click.echo(f"{name} was deleted.")


@cluster.command("rotate")
@click.argument("name")
@click.argument("secrets", nargs=-1)
def rotate(name: str, secrets: tuple[str, ...]) -> None:
    """Make the SECRETS of a cluster anew; left out: every generated one that no stored data depend on."""
    with _changing() as (session, hand):
        row, changed = clusters.rotate(session, hand, name, secrets)
        machines = clusters.sizes(session, [row])[name]
    click.echo(f"{', '.join(changed) or 'Nothing'} made anew; {machines} machines have it after their next deployment.")


@contextmanager
def _changing() -> Iterator[tuple[Session, Hand]]:
    settings = config.load()
    vault, templates = open_vault(settings.data_dir), Templates(settings.templates_dir)
    with Database(settings.database_url).write() as session:
        yield session, clusters.hand(session, vault, templates, actor=ACTOR, now=now())


def _vars(hand: Hand, pairs: Sequence[str]) -> dict[str, Any]:
    """Texts as they are; whatever is no text by its schema is JSON."""
    known = hand.rules.of(None)
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair[:60]!r} has no =; write NAME=VALUE.")
        found[name] = text
        if name not in known or known[name].type not in (*TEXTS, "choice"):
            with suppress(ValueError):  # then it is a text
                found[name] = json.loads(text)
    return found


def _secret(name: str) -> str:
    """Never an argument: a process list shows those to everybody."""
    if sys.stdin.isatty():
        return str(click.prompt(name, hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
