"""Commands of this capability: `pxeapp release ...`, `pxeapp front`, `pxeapp mirror-door`."""

from __future__ import annotations

import getpass
import json
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click

from pxeapp import config, systems
from pxeapp.client import appliance, at
from pxeapp.client.version_commands import versioned
from pxeapp.commandline import agree, as_json, counting, print_json, working, yes
from pxeapp.db import Database, now
from pxeapp.software import debian, releases, ubuntu
from pxeapp.software.door import Door
from pxeapp.software.front import httpd, nginx_site
from pxeapp.software.front import process as front_process
from pxeapp.software.front.spec import Site
from pxeapp.software.models import Release
from pxeapp.software.upstreams import configured

SITES = {"nginx": nginx_site.render, "httpd": httpd.render}
LOGS = {"nginx": Path("/var/log/nginx"), "httpd": Path("/var/log/apache2")}
FAMILIES = click.Choice(sorted(releases.INSTALLERS))


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
        click.option("--version", "release_version", required=True, help="13, 9, 20.04 ..."),
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
    name: str, directory: Path, kernel: str, initrd: str, files: tuple[str, ...], *, replace: bool, **said: str
) -> None:
    """Add release NAME from files in DIRECTORY; they are copied, hashed and then bootable."""
    settings, database = _open()
    with working(f"Copying and hashing the files of {name} ..."):
        added = releases.add_from_directory(
            database,
            settings,
            _description(name, said),
            directory,
            kernel=kernel,
            initrd=initrd,
            files=files,
            actor=_actor(),
            now=now(),
            replace_existing=replace,
        )
    _say(added)


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
    **said: str,
) -> None:
    """Add release NAME from URLs; nothing is kept unless all checksums are right."""
    settings, database = _open()
    with working(f"Fetching the files of {name} ..."):
        added = releases.add_from_url(
            database,
            settings,
            _description(name, said),
            kernel_url=kernel_url,
            kernel_sha256=kernel_sha256,
            initrd_url=initrd_url,
            initrd_sha256=initrd_sha256,
            files=[releases.Remote(*file) for file in files],
            actor=_actor(),
            now=now(),
            replace_existing=replace,
            progress=click.echo,
        )
    _say(added)


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
    settings, database = _open()
    said = {key: value for key, value in (("archive", archive), ("source", source)) if value}
    with working(f"Reading {iso} ..."):
        added = ubuntu.add(
            database,
            settings,
            iso,
            ubuntu.Wanted(name, sha256.lower(), hwe, kernel_args, said),
            actor=_actor(),
            now=now(),
            replace_existing=replace,
            progress=click.echo,
        )
    _say(added)


@release.command("add-debian")
@click.argument("version", type=click.Choice(sorted(debian.CODENAMES)))
@click.option(
    "--accept-unsigned-udebs",
    is_flag=True,
    help="Where the mirror's index of installer components does not match its signed Release, trust the index.",
)
def add_debian(version: str, *, accept_unsigned_udebs: bool) -> None:
    """Add or refresh Debian VERSION from its netboot package; makes the installer whole where the mirror is not."""
    settings, database = _open()
    with working(f"Fetching Debian {version}'s installer ..."):
        added = debian.add(
            database,
            settings,
            version,
            actor=_actor(),
            now=now(),
            progress=click.echo,
            accept_unsigned=accept_unsigned_udebs,
        )
    _say(added)


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


@click.group(invoke_without_command=True)
@click.pass_context
def front(ctx: click.Context) -> None:
    """Serve machines on NODE_LISTEN with nginx: media, repositories, the package mirror; the rest goes to `node`."""
    if ctx.invoked_subcommand is None:
        front_process.run(config.load())


@front.command("config")
@click.option("--for", "program", type=click.Choice(sorted(SITES)), required=True, help="Which server of yours.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Default: 80, or 443 with TLS.")
@click.option("--name", default="", help="As machines call it: pxe.example.org.")
@click.option("--tls", nargs=2, type=click.Path(path_type=Path), metavar="CERTIFICATE KEY", default=None)
@click.option("--logs", type=click.Path(path_type=Path), default=None, help="A folder for its logs.")
def front_config(program: str, port: int | None, name: str, tls: tuple[Path, Path] | None, logs: Path | None) -> None:
    """Print the configuration of a server of your own in front of this appliance; see docs/software.md."""
    described = front_process.describe(config.load(), {}, as_root=False)
    certificate, key = tls if tls is not None else (None, None)
    port = port or (443 if tls else 80)
    site = Site(described, port, logs or LOGS[program], name, certificate, key)
    click.echo(SITES[program](site), nl=False)


@click.command("mirror-door")
@click.option("--listen", required=True, type=click.Path(path_type=Path), help="The unix socket to listen on.")
def mirror_door(listen: Path) -> None:
    """Relay package downloads for an appliance without a route out, over a unix socket, to known mirrors only."""
    known = configured(config.load())
    with Door(listen, known) as door:
        for name, upstream in known.items():
            click.echo(f"/{name} leads to {upstream}")
        if not known:
            click.echo("No mirror is known; set PXEAPP_MIRROR_UPSTREAMS=debian=http://YOUR-MIRROR/debian", err=True)

        def end(_number: int, _frame: FrameType | None) -> None:
            # shutdown() waits for serve_forever(), which this very thread is in.
            threading.Thread(target=door.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        door.serve_forever()


def _say(added: Release) -> None:
    """What was added, and what to know before installing it."""
    click.echo(_line(releases.wire(added)))
    if remark := systems.remark(added.family, added.version, today=now().date()):
        click.echo(f"Note: {remark}")


def _line(entry: Mapping[str, Any]) -> str:
    state = "ready" if entry["ready"] else f"not ready: {entry['problem']}"
    return f"{entry['name']:<20} {entry['family']} {entry['version']:<8} {entry['installer']:<12} {state}"


def _description(name: str, said: dict[str, str]) -> releases.Description:
    return releases.Description(
        name=name,
        family=said["family"],
        version=said["release_version"],
        installer=said["installer"],
        kernel_args=said["kernel_args"],
        install_url=said["install_url"],
    )


def _open() -> tuple[config.Settings, Database]:
    settings = config.load()
    return settings, Database(settings.database_url)


def _actor() -> str:
    return f"user:{getpass.getuser()}"
