"""`pxeapp snapshot` and `pxeapp channel`: through the API, here or on an appliance elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from pxeapp.client import Appliance, appliance, at
from pxeapp.client.watching import timeout
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, yes
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.sentences import few
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.task_commands import followed, wait

HEAD = ("NAME", "TAKEN", "BY", "REPOSITORIES", "PACKAGES", "SIZE", "CHANNELS", "HELD BY", "STATE")
PINNED = {"release": ("releases", "settings"), "role": ("roles", "vars"), "cluster": ("clusters", "vars")}


@click.group()
def snapshot() -> None:
    """Repositories as they were at one moment: taken, compared, promoted, pinned."""


@snapshot.command("take")
@click.argument("name")
@click.option("--repository", "repositories", multiple=True, help="Only this one; repeatable. Default: all published.")
@click.option("--description", default="", help="What it is for.")
@as_json
def take(name: str, repositories: tuple[str, ...], description: str, as_json: bool) -> None:
    """Keep repositories as they are now; the same again under the same name is the one that is there."""
    said = {"name": name, "description": description, "repositories": list(repositories)}
    found = appliance().post("/software/snapshots", said)
    if as_json:
        print_json(found)
        return
    names = ", ".join(each["name"] for each in found["repositories"])
    click.echo(f"Snapshot {name} holds {names}: {found['package_count']} packages, {size_shown(found['bytes'])}.")
    click.echo(f"Its digest is {found['digest']}.")


@snapshot.command("list")
@as_json
def list_snapshots(as_json: bool) -> None:
    """List snapshots, and who holds them."""
    found = list(appliance().each("/software/snapshots"))
    if as_json:
        print_json(found)
    else:
        print_table(HEAD, [_row(each) for each in found])


@snapshot.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a snapshot with its repositories."""
    found = appliance().get(at("software", "snapshots", name))
    if as_json:
        print_json(found)
        return
    print_table(HEAD, [_row(found)])
    click.echo(f"Digest {found['digest']}")
    if found["description"]:
        click.echo(found["description"])
    print_table(
        ("REPOSITORY", "KIND", "SUITE", "PACKAGES", "SIZE", "MANIFEST"),
        [
            (
                each["name"], each["kind"], each["suite"], str(each["package_count"]), size_shown(each["bytes"]),
                each["manifest"][:12],
            )
            for each in found["repositories"]
        ],
    )  # fmt: skip


@snapshot.command("diff")
@click.argument("name")
@click.argument("other", default="now")
@click.option("--repository", default="", help="Only this one.")
@as_json
def diff(name: str, other: str, repository: str, as_json: bool) -> None:
    """What OTHER has that NAME has not, and the other way round. OTHER: a snapshot, channel:NAME, or now."""
    found = appliance().get(at("software", "snapshots", name, "difference"), to=other, repository=repository or None)
    if as_json:
        print_json(found)
        return
    for line in described(found):
        click.echo(line)


@snapshot.command("verify")
@click.argument("name")
@wait
@timeout
@as_json
def verify(name: str, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Hash everything that is served of it; exit code 1 when something is not as it was taken."""
    own = appliance()
    task = own.post(at("software", "snapshots", name, "verify"))
    ended = followed(own, task, wait=wait, timeout=timeout, as_json=as_json)
    if ended["state"] == "done" and not as_json:
        result = ended["result"]
        click.echo(f"{name} is as it was taken: {result['files']} files, {size_shown(result['bytes'])}.")


@snapshot.command("promote")
@click.argument("name")
@click.option("--to", default="", help="The channel; default: the next one after the last that leads to it.")
@click.option("--force", is_flag=True, help="Though it was never in the channel before that; needs a reason.")
@click.option("--reason", default="", help="Kept in the history.")
@yes
@as_json
def promote(name: str, to: str, force: bool, reason: str, yes: bool, as_json: bool) -> None:
    """Have the next channel lead to a snapshot; whoever is pinned to the channel reads it from then on."""
    agree(f"Machines that are pinned to {to or 'the next channel'} read {name} from now on.", yes=yes)
    said = {"to": to, "force": force, "reason": reason}
    found = appliance().post(at("software", "snapshots", name, "promote"), said)
    if as_json:
        print_json(found)
    else:
        click.echo(f"Channel {found['name']} leads to {found['snapshot']}.")


@snapshot.command("rollback")
@click.argument("channel")
@click.option("--reason", default="", help="Kept in the history.")
@yes
@as_json
def rollback(channel: str, reason: str, yes: bool, as_json: bool) -> None:
    """Have a channel lead to what it led to before."""
    agree(f"Machines that are pinned to {channel} read the snapshot before this one from now on.", yes=yes)
    found = appliance().post(at("software", "channels", channel, "rollback"), {"reason": reason})
    if as_json:
        print_json(found)
    else:
        click.echo(f"Channel {found['name']} leads to {found['snapshot']} again.")


@snapshot.command("delete")
@click.argument("name")
@yes
def delete(name: str, yes: bool) -> None:
    """Delete a snapshot that nobody is pinned to; its name is never used for another one."""
    agree(f"Snapshot {name} will not be served any more, and cannot be taken again once its files are gone.", yes=yes)
    appliance().delete(at("software", "snapshots", name))
    click.echo(f"Snapshot {name} is deleted. Its files go with: pxeapp software clean")


@snapshot.command("pin")
@click.argument("said", metavar="NAME|channel:NAME")
@click.option("--release", default="", help="What is installed with this release reads it.")
@click.option("--role", default="", help="Machines of this role read it, whatever the release says.")
@click.option("--cluster", default="", help="Machines of this cluster read it, whatever release and role say.")
def pin(said: str, release: str, role: str, cluster: str) -> None:
    """Have a release, a role or a cluster read a snapshot, or whatever a channel leads to."""
    _pin({"release": release, "role": role, "cluster": cluster}, said)


@snapshot.command("unpin")
@click.option("--release", default="")
@click.option("--role", default="")
@click.option("--cluster", default="")
def unpin(release: str, role: str, cluster: str) -> None:
    """Have a release, a role or a cluster read the repositories as they are."""
    _pin({"release": release, "role": role, "cluster": cluster}, "")


@snapshot.command("uses")
@click.argument("name")
@as_json
def list_uses(name: str, as_json: bool) -> None:
    """Which deployments and rollouts were given a snapshot."""
    found = list(appliance().each(at("software", "snapshots", name, "uses")))
    if as_json:
        print_json(found)
        return
    rows = [(each["subject"], each["machine"], moment(each["at"]), each["pin"], each["digest"][:12]) for each in found]
    print_table(("WHAT", "MACHINE", "AT", "PINNED TO", "DIGEST"), rows)


@click.group()
def channel() -> None:
    """Names that lead to one snapshot after the other: dev, staging, production."""


@channel.command("list")
@as_json
def list_channels(as_json: bool) -> None:
    """List channels in the order of promotion."""
    found = appliance().get("/software/channels")["items"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each["name"], each["snapshot"] or "", moment(each["moved_at"]) if each["moved_at"] else "",
            "" if each["snapshot"] == each["published"] else "being exchanged",
        )
        for each in found
    ]  # fmt: skip
    print_table(("NAME", "SNAPSHOT", "SINCE", "STATE"), rows)


@channel.command("history")
@click.argument("name")
@as_json
def history(name: str, as_json: bool) -> None:
    """Where a channel has led, who did that and why."""
    found = list(appliance().each(at("software", "channels", name, "history")))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            moment(each["at"]), each["action"], each["snapshot"], each["before"] or "", each["actor"],
            "forced" if each["forced"] else "", each["reason"],
        )
        for each in found
    ]  # fmt: skip
    print_table(("AT", "WHAT", "SNAPSHOT", "BEFORE", "BY", "", "REASON"), rows)


@channel.command("create")
@click.argument("name")
@click.option("--before", default="", help="The channel that it stands before; default: behind the last one.")
@as_json
def create(name: str, before: str, as_json: bool) -> None:
    """Make one more channel."""
    found = appliance().post("/software/channels", {"name": name, "before": before})
    if as_json:
        print_json(found)
    else:
        click.echo(f"Channel {name} stands at place {found['position']}.")


@channel.command("delete")
@click.argument("name")
@yes
def delete_channel(name: str, yes: bool) -> None:
    """Delete a channel that nobody is pinned to, with its history; the snapshot that it leads to stays."""
    agree(
        f"Channel {name} will not be served any more; who was installed from it earlier finds nothing there.", yes=yes
    )
    appliance().delete(at("software", "channels", name))
    click.echo(f"Channel {name} is deleted.")


def described(found: Mapping[str, Any]) -> Iterator[str]:
    """A difference in lines, what was altered first."""
    for each in found["items"]:
        counts = ", ".join(f"{count} {kind}" for kind, count in each["counts"].items() if count)
        yield f"{each['repository']}: {counts or each['status']}"
        for source in each["sources"]:
            yield f"  {source['source']}"
            for change in source["changes"]:
                yield f"    {_change(change)}"
        for advisory in each["advisories"]:
            about = " ".join(filter(None, (advisory["severity"], advisory["kind"])))
            yield f"  {advisory['name']} ({about}): {advisory['title']} {' '.join(advisory['references'])}".rstrip()
        if each["status"] in ("changed", "added") and not each["advisories_known"]:
            yield "  Its metadata tell of no advisories, whether there are any or not."


def _change(change: Mapping[str, str]) -> str:
    what = f"{change['name']}.{change['arch']}"
    if change["kind"] == "altered":
        return f"!! {what} {change['new']} HAS OTHER CONTENT UNDER THE SAME VERSION"
    if change["kind"] == "added":
        return f"+ {what} {change['new']}"
    if change["kind"] == "removed":
        return f"- {what} {change['old']}"
    sign = ">" if change["kind"] == "upgraded" else "< DOWNGRADED"
    return f"{sign} {what} {change['old']} -> {change['new']}"


def _pin(whom: Mapping[str, str], said: str) -> None:
    own, named = appliance(), [(kind, name) for kind, name in whom.items() if name]
    if len(named) != 1:
        problem = FieldProblem("pin", "names no release, role or cluster, or several.", "Give one of them.")
        raise Invalid("Nothing was pinned.", problems=[problem])
    ((kind, name),) = named
    where, field = PINNED[kind]
    _say_pin(own, at(where, name), field, said)
    click.echo(f"{kind.capitalize()} {name} reads {said or 'the repositories as they are'} from its next use on.")


def _say_pin(own: Appliance, where: str, field: str, said: str) -> None:
    """What else is there stays: masked secrets are sent back as they were shown, and mean that they stay."""
    before = dict(own.get(where)[field])
    before.pop("snapshot", None)
    own.patch(where, {field: {**before, **({"snapshot": said} if said else {})}})


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    held = found["held_by"]
    return (
        found["name"], moment(found["taken_at"]), found["taken_by"], str(len(found["repositories"])),
        str(found["package_count"]), size_shown(found["bytes"]), ", ".join(found["channels"]),
        few(held, 3),
        "served" if found["published_at"] else "being published",
    )  # fmt: skip
