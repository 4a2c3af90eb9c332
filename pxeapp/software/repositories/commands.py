"""`pxeapp repository`: repositories that this appliance publishes, what they hold, and the keys that sign them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.client.uploading import upload as send
from pxeapp.client.watching import Picture, shown, timeout, watch
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, yes
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.task_commands import EVENTS, after, followed, wait

HEAD = ("NAME", "KIND", "ORIGIN", "PACKAGES", "SIZE", "PUBLISHED", "PROBLEM")
PUBLISH = "repository.publish"  # as service.py has it, which loads the database's half of the appliance
ENDINGS = {"deb": (".deb", ".udeb"), "rpm": (".rpm",)}


@click.group()
def repository() -> None:
    """Package repositories of your own, signed and served to machines; mirrors are listed, too."""


def _described(command: Any) -> Any:
    for option in (
        click.option("--architecture", "architectures", multiple=True, help="Default: amd64, or x86_64; repeatable."),
        click.option("--component", "components", multiple=True, help="deb; default: main; repeatable."),
        click.option("--suite", default=None, help="deb; default: stable."),
        click.option("--description", default=None),
    ):
        command = option(command)
    return command


@repository.command("create")
@click.argument("name")
@click.option("--kind", type=click.Choice(["deb", "rpm"]), required=True)
@_described
@as_json
def create(name: str, kind: str, as_json: bool, **said: Any) -> None:
    """Add repository NAME; it is published, empty and signed, within moments."""
    made = appliance().post("/software/repositories", {"name": name, "kind": kind, **_given(said)})
    if as_json:
        print_json(made)
        return
    click.echo(f"The repository {name} is at {made['url']}; machines know it by:")
    click.echo(made["source"].rstrip())
    click.echo(f"Next: pxeapp repository upload {name} FILE...")


@repository.command("change")
@click.argument("name")
@_described
@as_json
def change(name: str, as_json: bool, **said: Any) -> None:
    """Change what repository NAME says of itself; an option that is repeatable replaces all that was there."""
    found = appliance().patch(at("software", "repositories", name), _given(said))
    if as_json:
        print_json(found)
    else:
        click.echo(f"The repository {name} is published as it is now.")


@repository.command("list")
@click.option("--kind", type=click.Choice(["deb", "rpm"]), default=None)
@click.option("--origin", type=click.Choice(["local", "mirror"]), default=None)
@watch
@timeout
@as_json
def list_repositories(kind: str | None, origin: str | None, watch: bool, timeout: float | None, as_json: bool) -> None:
    """List repositories."""
    own = appliance()

    def look() -> Picture:
        found = list(own.each("/software/repositories", kind=kind, origin=origin))
        return Picture({"items": found, "next": None}, HEAD, [_row(each) for each in found])

    shown(own, look, events=EVENTS, watch=watch, timeout=timeout, as_json=as_json)


@repository.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show repository NAME, and how a machine reads it."""
    found = appliance().get(at("software", "repositories", name))
    if as_json:
        print_json(found)
        return
    print_table(HEAD, [_row(found)])
    if found["problem"]:
        click.echo(f"Not as it should be: {found['problem']}")
    click.echo(f"Its keys: {found['key']}")
    click.echo(found["source"].rstrip())


@repository.command("packages")
@click.argument("name")
@click.argument("words", nargs=-1)
@as_json
def packages(name: str, words: tuple[str, ...], as_json: bool) -> None:
    """List the packages of repository NAME whose name or summary has all WORDS."""
    found = list(appliance().each(at("software", "repositories", name, "packages"), search=" ".join(words) or None))
    if as_json:
        print_json({"items": found, "next": None})
        return
    print_table(
        ("NAME", "VERSION", "ARCHITECTURE", "SIZE", "SUMMARY"),
        [
            (each["name"], each["version"], each["architecture"], size_shown(each["size"]), each["summary"])
            for each in found
        ],
    )


@repository.command("upload")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--component", default="", help="deb; which one they belong to; default: the first.")
@wait
@timeout
@as_json
def upload(
    name: str, files: tuple[Path, ...], component: str, wait: bool, timeout: float | None, as_json: bool
) -> None:
    """Add package FILES, or all of a folder, to repository NAME; all of them, or none when one is no good."""
    own = appliance()
    found = own.get(at("software", "repositories", name))
    add = []
    for path in _files(files, found["kind"]):
        sent = send(own, path)
        add.append({"upload": sent["sha256"], "name": path.name, "component": component})
    if wait:
        after(own, PUBLISH, name, timeout=timeout)
    task = own.post(at("software", "repositories", name, "packages"), {"add": add})
    ended = followed(own, task, wait=wait, timeout=timeout, as_json=as_json)
    if ended["state"] == "done" and not as_json:
        for each in ended["result"]["added"]:
            signed = f", signed: {each['signed']}" if each["signed"] else ""
            click.echo(f"{each['name']} {each['version']} {each['architecture']}{signed}")
        click.echo(f"{name} has {ended['result']['packages']} packages now.")


@repository.command("remove")
@click.argument("name")
@click.argument("packages", nargs=-1, required=True)
@yes
@wait
@timeout
@as_json
def remove(name: str, packages: tuple[str, ...], yes: bool, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Remove PACKAGES from repository NAME: a name is all of its versions, NAME=VERSION is that one."""
    agree(f"Machines will not find {', '.join(packages)} in {name} any more.", yes=yes)
    own = appliance()
    if wait:
        after(own, PUBLISH, name, timeout=timeout)
    task = own.post(at("software", "repositories", name, "packages"), {"remove": list(packages)})
    ended = followed(own, task, wait=wait, timeout=timeout, as_json=as_json)
    if ended["state"] == "done" and not as_json:
        for each in ended["result"]["removed"]:
            click.echo(f"{each} is gone from {name}.")


@repository.command("publish")
@click.argument("name")
@wait
@timeout
@as_json
def publish(name: str, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Make and sign the index of repository NAME anew, of the same packages."""
    own = appliance()
    if wait:
        after(own, PUBLISH, name, timeout=timeout)
    task = own.post(at("software", "repositories", name, "publish"))
    followed(own, task, wait=wait, timeout=timeout, as_json=as_json)


@repository.command("delete")
@click.argument("name")
@yes
def delete(name: str, yes: bool) -> None:
    """Remove repository NAME, unless a release, role, cluster or machine reads it."""
    own = appliance()
    found = own.get(at("software", "repositories", name))
    agree(
        f"The repository {name} with {found['packages']} packages will be gone; snapshots keep what they hold.",
        yes=yes, type_in=name,
    )  # fmt: skip
    own.delete(at("software", "repositories", name))
    click.echo(f"The repository {name} is gone.")


@repository.group("key")
def key() -> None:
    """The keys that repositories are signed with."""


@key.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List the keys; the retired ones sign nothing any more."""
    found = list(appliance().each("/software/signing-keys"))
    if as_json:
        print_json({"items": found, "next": None})
        return
    print_table(
        ("FINGERPRINT", "OWNER", "SINCE", "RETIRED"),
        [
            (each["fingerprint"], each["owner"], moment(each["created_at"]),
             moment(each["retired_at"]) if each["retired_at"] else "")
            for each in found
        ],
    )  # fmt: skip


@key.command("show")
def show_key() -> None:
    """Print the public halves of the keys in use, armoured, for a machine's keyring."""
    for each in appliance().each("/software/signing-keys"):
        if each["retired_at"] is None:
            click.echo(each["public"].rstrip())


@key.command("add")
@click.option("--owner", default="", help="Whose it is said to be; default: this appliance's.")
@wait
@timeout
@as_json
def add_key(owner: str, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Make a key that signs beside those in use, and sign every repository anew."""
    own = appliance()
    ended = followed(
        own, own.post("/software/signing-keys", {"owner": owner}), wait=wait, timeout=timeout, as_json=as_json
    )
    if ended["state"] == "done" and not as_json:
        click.echo("Everything is signed by these keys now; give machines the new one before you retire another:")
        for each in ended["result"]["keys"]:
            click.echo(each)


@key.command("retire")
@click.argument("fingerprint")
@yes
@wait
@timeout
@as_json
def retire_key(fingerprint: str, yes: bool, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Have a key sign nothing any more, and sign every repository anew without it."""
    agree("Machines that know no other key will refuse every repository of this appliance.", yes=yes)
    own = appliance()
    task = own.post(at("software", "signing-keys", fingerprint, "retire"))
    followed(own, task, wait=wait, timeout=timeout, as_json=as_json)


def _given(said: dict[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in said.items()
        if value is not None and value != ()
    }


def _files(named: tuple[Path, ...], kind: str) -> list[Path]:
    """The files themselves, and of folders those with the right ending."""
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            there = sorted(each for each in path.iterdir() if each.suffix in ENDINGS[kind])
            if not there:
                problem = FieldProblem(str(path), f"has no {' or '.join(ENDINGS[kind])} file.", "Name another folder.")
                raise Invalid("Nothing was sent.", problems=[problem])
            found += there
        else:
            found.append(path)
    return found


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    published = moment(found["published_at"]) if found["published_at"] else "not yet"
    return (
        found["name"], found["kind"], found["origin"], str(found["packages"]), size_shown(found["bytes"]), published,
        found["problem"],
    )  # fmt: skip
