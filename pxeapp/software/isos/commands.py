"""`pxeapp media`: ISO images of distributions, imported, verified, served, and made releases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.client.uploading import upload
from pxeapp.client.watching import timeout
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, yes
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.task_commands import followed, wait

HEAD = ("NAME", "MEDIUM", "SIZE", "FILES", "VERIFIED", "RELEASES", "SINCE")


@click.group()
def media() -> None:
    """Standard media: DVDs, boot and network images, imported from ISO files."""


@media.command("import")
@click.argument("source")
@click.option("--incoming", is_flag=True, help="SOURCE lies below incoming/ in the appliance's data directory.")
@click.option("--sha256", default="", help="The ISO's checksum, as its publisher says; required where it is a URL.")
@click.option("--name", default="", help="The medium's name; default: what it proposes, as rocky-9.4.")
@click.option("--release", default="", help="The release's name; default: the medium's.")
@click.option("--no-release", is_flag=True, help="Serve the medium, and make no release of it.")
@click.option("--install-url", default="", help="Where its packages are; for a boot image, which has none.")
@click.option("--kernel-args", default="", help="Added to the installer's own kernel command line.")
@click.option("--hwe", is_flag=True, help="Ubuntu's live server: boot the newer kernel, where the ISO has one.")
@click.option("--replace", is_flag=True, help="Replace the medium and the release of these names.")
@wait
@timeout
@as_json
def import_medium(
    source: str,
    incoming: bool,
    no_release: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Import the ISO image SOURCE: a file, which is uploaded, or an http(s) address."""
    own = appliance()
    if incoming:
        where: Mapping[str, Any] = {"path": source}
    elif re.match(r"https?://", source):
        where = {"url": source}
    else:
        path = Path(source)
        if not path.is_file():
            problem = FieldProblem("source", f"{source} is not a file.", "Name an ISO, or its http:// address.")
            raise Invalid("Nothing was imported.", problems=[problem])
        where = {"upload": upload(own, path)["sha256"], "filename": path.name}
    task = own.post("/software/media", {**where, **said, "make_release": not no_release})
    ended = followed(own, task, wait=wait, timeout=timeout, as_json=as_json)
    if ended["state"] == "done" and not as_json:
        _say(own.get(at("software", "media", ended["result"]["media"])), ended["result"])


@media.command("list")
@as_json
def list_media(as_json: bool) -> None:
    """List the imported media."""
    found = list(appliance().each("/software/media"))
    if as_json:
        print_json({"items": found, "next": None})
    elif not found:
        click.echo("No medium yet. Try: pxeapp media import ISO")
    else:
        print_table(HEAD, [_row(each) for each in found])


@media.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a medium: what is on it, what was verified, which releases install from it."""
    found = appliance().get(at("software", "media", name))
    if as_json:
        print_json(found)
        return
    for field in ("name", "title", "kind", "label", "source", "iso_sha256", "url", "kernel", "initrd", "stage2"):
        if found[field]:
            click.echo(f"{field:<14} {found[field]}")
    click.echo(f"{'size':<14} {size_shown(found['bytes'])} in {found['files']} files")
    if found["repositories"]:
        click.echo(f"{'repositories':<14} {', '.join(each['name'] for each in found['repositories'])}")
    click.echo(f"{'releases':<14} {', '.join(found['releases']) or 'none installs from it'}")
    _vouched(found)


@media.command("delete")
@click.argument("name")
@yes
def delete(name: str, yes: bool) -> None:
    """Serve a medium no more; refused while a release installs from it."""
    own = appliance()
    found = own.get(at("software", "media", name))
    agree(f"The medium {name} ({found['title']}, {size_shown(found['bytes'])}) is served no more.", yes=yes)
    own.delete(at("software", "media", name))
    click.echo(f"{name} is removed. Its files go with the next clean-up (pxeapp software clean).")


def _say(found: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """What was made of it, and what to know before installing from it."""
    click.echo(f"{found['title']} is here as {found['name']}.")
    if result["release"]:
        click.echo(f"The release {result['release']} boots it.")
    _vouched(found)


def _vouched(found: Mapping[str, Any]) -> None:
    for check in found["checks"]:
        click.echo(f"{'verified' if check['verified'] else 'not verified':<14} {check['says']}")
    for remark in found["remarks"]:
        click.echo(f"{'note':<14} {remark}")


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    right = sum(check["verified"] for check in each["checks"])
    return (
        each["name"], each["title"], size_shown(each["bytes"]), str(each["files"]), f"{right} of {len(each['checks'])}",
        ", ".join(each["releases"]) or "-", moment(each["updated_at"]),
    )  # fmt: skip
