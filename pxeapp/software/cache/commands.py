"""`pxeapp cache`: the upstreams that packages are pulled through, here and on an appliance elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.client.watching import timeout
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, yes
from pxeapp.errors import Invalid, NotFound
from pxeapp.sentences import few
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.mirrors.commands import read_source, read_variable
from pxeapp.software.task_commands import followed, wait

HEAD = ("NAME", "FROM", "LIMIT", "FRESH", "STATE", "INDEXES", "PROBLEM")
MISSING_HEAD = ("TIMES", "WHY", "LAST", "FILE")
WHY = {"absent": "the upstream has none", "offline": "offline here", "upstream": "no answer"}
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


class Size(click.ParamType[int]):
    """50G, 512M."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """In bytes."""
        found = re.fullmatch(r"(\d{1,15})([KMGT]?)(i?B)?", str(value), re.IGNORECASE)
        if found is None:
            self.fail(f"{value!r} is no size; write 50G or 512M.", param, ctx)
        return int(found[1]) * _UNITS[found[2].upper()]


class Length(click.ParamType[int]):
    """90s, 5m, 12h, 7d."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """In seconds."""
        found = re.fullmatch(r"(\d{1,9})([smhd]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is no length of time; write 90s, 5m, 12h or 7d.", param, ctx)
        return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


@click.group()
def cache() -> None:
    """Upstreams: what packages are pulled through, how long and how much of them is kept."""


@cache.command("list")
@as_json
def list_upstreams(as_json: bool) -> None:
    """List the upstreams, those of the settings too."""
    found = list(appliance().each("/software/upstreams"))
    if as_json:
        print_json({"items": found, "next": None})
    elif not found:
        click.echo("No upstream yet. Try: pxeapp cache set debian --url http://YOUR-MIRROR/debian")
    else:
        print_table(HEAD, [_row(each) for each in found])


@cache.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show an upstream and the index sets that are here."""
    found = appliance().get(at("software", "upstreams", name))
    if as_json:
        print_json(found)
        return
    said = {
        "name": found["name"], "url": found["url"], "named by": _origin(found), "kind": found["kind"],
        "limit": size_shown(found["max_bytes"]), "fresh for": _length(found["freshness_s"]),
        "state": "offline" if found["offline"] else "online",
        "packages": "kept" if found["keep_packages"] else "passed through",
        "also asked as": ", ".join(found["aliases"]), "read by mirrors": few(found["mirrors"], 10),
        "keyring": found["keyring"], "problem": found["problem"],
    }  # fmt: skip
    for field, value in said.items():
        if value:
            click.echo(f"{field:<16} {value}")
    for each in found["sets"]:
        checked = f", looked at {moment(each['checked_at'])}" if each["checked_at"] else ""
        dated = f" of {moment(each['dated'])}" if each["dated"] else ""
        click.echo(f"{'index set':<16} {each['root'] or '/'}{dated}: {each['indexes']} indexes{checked}")
        if each["problem"]:
            click.echo(f"{'':<16} {each['problem']}")


@cache.command("set")
@click.argument("name")
@click.option("--url", default=None, help="http or https; empty: what the settings say of it.")
@click.option("--kind", type=click.Choice(["apt", "yum"]), default=None)
@click.option("--max-size", "max_bytes", type=Size(), default=None, help="Of its packages in the cache, as 50G.")
@click.option("--freshness", "freshness_s", type=Length(), default=None, help="How old an index may be, as 5m.")
@click.option("--keep-packages/--pass-packages", "keep_packages", default=None, help="Whether packages are kept.")
@click.option("--alias", "aliases", multiple=True, metavar="HOST/PATH", help="What the proxy answers for, too.")
@click.option("--no-aliases", is_flag=True, help="Answer for its own address alone.")
@click.option("--keyring", default=None, help="A file on the appliance; Release files must be signed by a key of it.")
def change(name: str, aliases: tuple[str, ...], no_aliases: bool, **said: Any) -> None:
    """Add an upstream, or change what is given of one; the front follows within seconds."""
    wanted = {field: value for field, value in said.items() if value is not None}
    if aliases or no_aliases:
        wanted["aliases"] = list(aliases)
    own = appliance()
    try:
        before = own.get(at("software", "upstreams", name))
    except NotFound:
        if not wanted.get("url"):
            raise Invalid(f"{name} is new, and needs an address.", hint="Add --url http://HOST/PATH.") from None
        own.post("/software/upstreams", {"name": name, **wanted})
        click.echo(f"{name} was added; machines find it at /mirror/{name}.")
        return
    found = own.patch(at("software", "upstreams", name), wanted)
    click.echo(f"{name} was changed.")
    if found["url"] != before["url"]:
        click.echo(f"Packages that are cached of {before['url']} are not served any more; they are fetched anew.")
        if found["mirrors"]:
            click.echo(f"With their next sync these mirrors read the new address: {few(found['mirrors'], 10)}.")


@cache.command("remove")
@click.argument("name")
@yes
def remove(name: str, yes: bool) -> None:
    """Forget an upstream with its packages and what was counted; one of the settings is what it was before."""
    agree(f"{name} is forgotten, with what is cached and was counted of it.", yes=yes)
    appliance().delete(at("software", "upstreams", name))
    click.echo(f"{name} was removed.")


@cache.command("offline")
@click.argument("name")
def offline(name: str) -> None:
    """Serve what is here of an upstream, and ask it nothing."""
    appliance().patch(at("software", "upstreams", name), {"offline": True})
    click.echo(f"{name} is offline: what is in the cache is served. What was missing: pxeapp cache statistics {name}")


@cache.command("online")
@click.argument("name")
def online(name: str) -> None:
    """Ask an upstream again."""
    appliance().patch(at("software", "upstreams", name), {"offline": False})
    click.echo(f"{name} is online.")


@cache.command("statistics")
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="Today included.")
@as_json
def show_statistics(name: str, days: int, as_json: bool) -> None:
    """Say what machines asked of an upstream, what the cache spared it, and what was missing."""
    found = appliance().get(at("software", "upstreams", name, "statistics"), days=days)
    if as_json:
        print_json(found)
        return
    packages = found["hits"] + found["misses"]
    share = f" ({100 * found['hits'] // packages} % of packages)" if packages else ""
    click.echo(f"requests         {found['requests']}")
    click.echo(f"packages         {found['hits']} from the cache, {found['misses']} from the upstream{share}")
    click.echo(f"indexes          {found['index_hits']} from here, {found['index_misses']} fetched")
    click.echo(f"from the cache   {size_shown(found['bytes_from_cache'])}")
    click.echo(f"from upstream    {size_shown(found['bytes_from_upstream'])}")
    click.echo(f"not to be had    {found['absent']}, and {found['errors']} errors")
    if found["missing"]:
        rows = [(str(e["count"]), WHY[e["why"]], moment(e["last_at"]), e["path"]) for e in found["missing"]]
        print_table(MISSING_HEAD, rows)


@cache.command("seed")
@click.argument("name")
@click.option("--release", default=None, help="For whose machines it is: debian-13, rocky-9, or a release of yours.")
@click.option("--from", "sources", multiple=True, metavar="SOURCE",
              help='"UPSTREAM SUITE COMPONENT..." or, of rpm, "UPSTREAM/PATH"; default: of the release.')  # fmt: skip
@click.option("--package", "packages", multiple=True, help="A package with what it needs; repeatable.")
@click.option("--role", "roles", multiple=True, help="A role's packages; repeatable.")
@click.option("--set", "variables", multiple=True, metavar="VAR=VALUE", help="A variable of the roles.")
@click.option("--definition", "definitions", multiple=True, help="A service's; see: pxeapp mirror definitions.")
@click.option("--architecture", "architectures", multiple=True, help="Default: amd64, or x86_64.")
@click.option("--recommends", is_flag=True, help="What packages recommend, too.")
@click.option("--base", is_flag=True, help="What every installed system has.")
@click.option("--installer", is_flag=True, help="What an installer itself needs.")
@wait
@timeout
@as_json
def seed(name: str, wait: bool, timeout: float | None, as_json: bool, **said: Any) -> None:
    """Fetch packages with what they need into the cache of NAME, so that they can be installed offline."""
    own = appliance()
    task = own.post(at("software", "upstreams", name, "seed"), _selected(said))
    ended = followed(own, task, wait=wait, timeout=timeout, as_json=as_json)
    if wait and not as_json:
        result = ended["result"]
        click.echo(f"{result['packages']} packages, {size_shown(result['bytes'])}: {result['fetched']} were fetched, "
                   f"{result['present']} were there; {result['indexes']} indexes.")  # fmt: skip
        for each in result["unsatisfied"]:
            click.echo(f"Nobody has {each['what']} ({', '.join(each['by'])}).")


@cache.command("purge")
@click.argument("name", metavar="UPSTREAM")
@click.argument("path")
@yes
@as_json
def purge(name: str, path: str, yes: bool, as_json: bool) -> None:
    """Throw PATH of an upstream away, so that the next request fetches it anew; a folder ends with /, / is everything.

    An index goes with its whole set.
    """
    if path.endswith("/"):
        agree(f"Everything of {name} below {path} is thrown away, and fetched anew by whoever asks for it.", yes=yes)
    found = appliance().post(at("software", "upstreams", name, "purge"), {"path": path})
    if as_json:
        print_json(found)
        return
    for root in found["sets"]:
        click.echo(f"The index set {root} went as a whole.")
    if found["files"]:
        click.echo(f"{found['files']} files, {size_shown(found['bytes'])} went; the next request fetches anew.")
    else:
        click.echo(f"Nothing of {found['path']} was here. A folder is written with / at its end.")


def _selected(said: Mapping[str, Any]) -> dict[str, Any]:
    found = {field: said[field] for field in ("release", "recommends", "base", "installer") if said[field]}
    found |= {field: list(said[field]) for field in ("packages", "definitions", "architectures") if said[field]}
    if said["sources"]:
        found["sources"] = [read_source(each) for each in said["sources"]]
    if said["roles"]:
        variables = dict(read_variable(each) for each in said["variables"])
        found["roles"] = [{"role": role, "vars": variables} for role in said["roles"]]
    return found


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    indexes = str(sum(one["indexes"] for one in each["sets"]))
    return (
        each["name"], each["url"], size_shown(each["max_bytes"]), _length(each["freshness_s"]),
        "offline" if each["offline"] else "online", indexes, each["problem"] or "-",
    )  # fmt: skip


def _origin(each: Mapping[str, Any]) -> str:
    return {
        "settings": "PXEAPP_MIRROR_UPSTREAMS",
        "host": "this machine's package sources",
        "operator": "an operator",
    }[each["origin"]]


def _length(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
