"""`pxeapp release ...`: what can be installed."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pxeapp import config, systems
from pxeapp.client import appliance, at
from pxeapp.client.version_commands import versioned
from pxeapp.commandline import agree, as_json, counting, print_json, working, yes

if TYPE_CHECKING:  # cost: see _open
    import datetime as dt

    from pxeapp.db import Database
    from pxeapp.software.models import Release

FAMILIES = click.Choice(sorted({family for family, _ in systems.SYSTEMS}))


@click.group()
def release() -> None:
    """What can be installed: add, list and verify releases."""


def _described(command: Any) -> Any:
    """The options that say what a release is."""
    for option in (
        click.option("--kernel-args", default="", help="Added to the installer's own kernel command line."),
        click.option(
            "--install-url",
            default="",
            help="Tree, mirror or ISO the installer reads; {node_url} and {media} (its own files) are filled in.",
        ),
        click.option("--installer", default="", help="kickstart, preseed or autoinstall; default: its version's."),
        click.option("--version", required=True, help="13, 9, 20.04 ..."),
        click.option("--family", type=FAMILIES, required=True),
        click.option("--replace", is_flag=True, help="Replace the release of that name if there is one."),
    ):
        command = option(command)
    return command


@release.command("add-directory")
@click.argument("name")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--kernel", required=True, help="The kernel's file, relative to DIRECTORY.")
@click.option("--initrd", required=True, help="The initrd's file, relative to DIRECTORY.")
@click.option("--file", "files", multiple=True, help="Another file to serve, relative to DIRECTORY; repeatable.")
@_described
def add_directory(
    name: str, directory: Path, kernel: str, initrd: str, files: tuple[str, ...], *, replace: bool, **said: Any
) -> None:
    """Add release NAME from files in DIRECTORY; they are copied, hashed and then bootable."""
    from pxeapp.software import adding, releases  # cost: see _open

    settings, database, now = _open()
    with working(f"Copying and hashing the files of {name} ..."):
        added = adding.from_directory(
            database,
            settings,
            releases.Description(name, **said),
            directory,
            kernel=kernel,
            initrd=initrd,
            files=files,
            actor=_actor(),
            now=now,
            replace_existing=replace,
        )
    _say(added, now)


@release.command("add-url")
@click.argument("name")
@click.option("--kernel-url", required=True)
@click.option("--kernel-sha256", required=True)
@click.option("--initrd-url", required=True)
@click.option("--initrd-sha256", required=True)
@click.option("--file", "files", nargs=3, multiple=True, metavar="NAME URL SHA256", help="Another file to serve.")
@_described
def add_url(
    name: str,
    kernel_url: str,
    kernel_sha256: str,
    initrd_url: str,
    initrd_sha256: str,
    files: tuple[tuple[str, str, str], ...],
    *,
    replace: bool,
    **said: Any,
) -> None:
    """Add release NAME from URLs; nothing is kept unless all checksums are right."""
    from pxeapp.software import adding, releases  # cost: see _open

    settings, database, now = _open()
    with working(f"Fetching the files of {name} ..."):
        added = adding.from_url(
            database,
            settings,
            releases.Description(name, **said),
            kernel_url=kernel_url,
            kernel_sha256=kernel_sha256,
            initrd_url=initrd_url,
            initrd_sha256=initrd_sha256,
            files=[adding.Remote(*file) for file in files],
            actor=_actor(),
            now=now,
            replace_existing=replace,
            progress=click.echo,
        )
    _say(added, now)


@release.command("add-ubuntu")
@click.argument("iso")
@click.option("--name", default="", help="The release's name; default: ubuntu-VERSION, of what stands in the ISO.")
@click.option("--sha256", default="", help="The ISO's checksum; required where ISO is a URL.")
@click.option("--archive", default="", help="Where its packages are; default: {node_url}/mirror/ubuntu.")
@click.option("--source", default="", help="Which system of the ISO: ubuntu-server (default), ubuntu-server-minimal.")
@click.option("--hwe", is_flag=True, help="Boot the installer with the newer kernel, where the ISO has one.")
@click.option("--kernel-args", default="", help="Added to the installer's own kernel command line.")
@click.option("--replace", is_flag=True, help="Replace the release of that name if there is one.")
def add_ubuntu(
    iso: str, name: str, sha256: str, archive: str, source: str, kernel_args: str, *, hwe: bool, replace: bool
) -> None:
    """Add Ubuntu 20.04 or later from its live server's ISO, a file or an http:// address."""
    from pxeapp.software import ubuntu  # cost: see _open

    settings, database, now = _open()
    said = {key: value for key, value in (("archive", archive), ("source", source)) if value}
    with working(f"Reading {iso} ..."):
        added = ubuntu.add(
            database,
            settings,
            iso,
            ubuntu.Wanted(name, sha256.lower(), hwe, kernel_args, said),
            actor=_actor(),
            now=now,
            replace_existing=replace,
            progress=click.echo,
        )
    _say(added, now)


@release.command("add-debian")
@click.argument("version", type=click.Choice(systems.versions("debian")))
@click.option(
    "--accept-unsigned-udebs",
    is_flag=True,
    help="Where the mirror's index of installer components does not match its signed Release, trust the index.",
)
def add_debian(version: str, *, accept_unsigned_udebs: bool) -> None:
    """Add or refresh Debian VERSION from its netboot package; makes the installer whole where the mirror is not."""
    from pxeapp.software import debian  # cost: see _open

    settings, database, now = _open()
    with working(f"Fetching Debian {version}'s installer ..."):
        added = debian.add(
            database,
            settings,
            version,
            actor=_actor(),
            now=now,
            progress=click.echo,
            accept_unsigned=accept_unsigned_udebs,
        )
    _say(added, now)


@release.command("list")
@as_json
def list_releases(as_json: bool) -> None:
    """List the releases and whether each can be booted."""
    found = list(appliance().each("/releases"))
    if as_json:
        print_json({"items": found, "next": None})
    elif not found:
        click.echo("No release yet. Try: pxeapp release add-debian 13")
    else:
        for entry in found:
            click.echo(_line(entry))


@release.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a release."""
    found = appliance().get(at("releases", name))
    if as_json:
        print_json(found)
        return
    for field, value in found.items():
        click.echo(f"{field:<16} {value if isinstance(value, str) else json.dumps(value)}".rstrip())


versioned(release, "releases")


@release.command("verify")
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Hash the files of the releases NAMES (or of all) again; exits with 1 when one is not whole."""
    own = appliance()
    names = names or tuple(each["name"] for each in own.each("/releases"))
    whole = True
    with counting("Verifying") as count:
        for number, name in enumerate(names):
            count(number, len(names))
            checked = own.post(at("releases", name, "verify"))
            whole = whole and checked["ready"]
            click.echo(_line(checked))
    if not whole:
        raise SystemExit(1)


@release.command("delete")
@click.argument("name")
@yes
def delete(name: str, yes: bool) -> None:
    """Remove a release and its files."""
    own = appliance()
    found = own.get(at("releases", name))
    agree(f"Release {name} ({found['family']} {found['version']}) and its files are removed.", yes=yes)
    own.delete(at("releases", name))
    click.echo(f"{name} is removed.")


def _say(added: Release, now: dt.datetime) -> None:
    """What was added, and what to know before installing it."""
    from pxeapp.software import releases  # cost: none by now

    click.echo(_line(releases.wire(added)))
    if remark := systems.remark(added.family, added.version, today=now.date()):
        click.echo(f"Note: {remark}")


def _line(entry: Mapping[str, Any]) -> str:
    state = "ready" if entry["ready"] else f"not ready: {entry['problem']}"
    return f"{entry['name']:<20} {entry['family']} {entry['version']:<8} {entry['installer']:<12} {state}"


def _open() -> tuple[config.Settings, Database, dt.datetime]:
    """This host's own settings and database, for the commands that put files in its media, and the time."""
    # cost: what these commands work with takes more than half a second to import, and the others ask the API
    from pxeapp.db import Database, now

    settings = config.load()
    return settings, Database(settings.database_url), now()


def _actor() -> str:
    return f"user:{getpass.getuser()}"
