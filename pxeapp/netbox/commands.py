"""`pxeapp netbox import`: what NetBox knows of the racks, taken over; shown first with --dry-run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pxeapp.client import appliance
from pxeapp.commandline import as_json, print_json, working
from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.netbox.reading import NetBox
from pxeapp.netbox.translating import Choices, Skipped, machines
from pxeapp.sentences import few

SHOWN = 20


@click.group()
def netbox() -> None:
    """Take machines over from NetBox."""


@netbox.command("import")
@click.option("--url", required=True, help="https://netbox.example.org")
@click.option("--token-file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--site", multiple=True, help="Only devices of this site (slug); may be repeated.")
@click.option("--role", multiple=True, help="Only devices of this role (slug); may be repeated.")
@click.option("--tag", multiple=True, help="Only devices with this tag (slug); may be repeated.")
@click.option("--status", default="active,planned,staged", show_default=True, help="Only devices with this status.")
@click.option(
    "--map-role", multiple=True, metavar="THEIRS=OURS", help="What a role of NetBox is here; may be repeated."
)
@click.option("--release", default="", help="The release of every new machine.")
@click.option("--boot-tag", default="pxe", show_default=True, help="The tag of the card that a machine boots from.")
@click.option("--bmc-username", default="", help="Of every BMC; NetBox knows none.")
@click.option("--bmc-password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of a CA of your own.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, change nothing.")
@as_json
def import_(
    url: str, token_file: Path, site: tuple[str, ...], role: tuple[str, ...], tag: tuple[str, ...], status: str,
    map_role: tuple[str, ...], release: str, boot_tag: str, bmc_username: str, bmc_password_file: Path | None,
    ca_file: Path | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Register NetBox's devices as machines, or bring those that are known up to date: all of them or none."""
    choices = Choices(
        boot_tag=boot_tag, roles=_mapped(map_role), release=release, bmc_username=bmc_username,
        bmc_password=_secret(bmc_password_file, "--bmc-password-file") if bmc_password_file else "",
    )  # fmt: skip
    narrowed = {"site": site, "role": role, "tag": tag, "status": [each for each in status.split(",") if each]}
    box = NetBox(url, _secret(token_file, "--token-file"), verify=str(ca_file) if ca_file else True)
    try:
        devices = list(box.every("dcim/devices", **{name: value for name, value in narrowed.items() if value}))
        inside = {"site": site} if site else {}
        cards = box.every("dcim/interfaces", **inside)
        found, skipped = machines(devices, cards, box.every("ipam/ip-addresses", assigned_to_interface=True), choices)
    finally:
        box.close()
    with working(f"Importing {len(found)} machines ..."):
        content = json.dumps(found).encode()
        done = appliance().upload("/machines/import", content, "application/json", dry_run=dry_run)
    _report(done, skipped, as_json=as_json)


def _report(done: dict[str, Any], skipped: list[Skipped], *, as_json: bool) -> None:
    if as_json:
        left_out = [{"device": each.device, "why": each.why} for each in skipped]
        about = {"dry_run": done["dry_run"], **done["names"], "unchanged": done["unchanged"]}
        counts = {name: done[name] for name in done["names"]}  # of names there are a thousand at the most
        print_json({**about, "counts": counts, "skipped": left_out})
        return
    would = "would be " if done["dry_run"] else ""
    for what in ("created", "updated"):
        count, names = done[what], done["names"][what][:SHOWN]
        click.echo(f"{count} {would}{what}{': ' if names else ''}{few(names, SHOWN, of=count)}")
    click.echo(f"{done['unchanged']} unchanged")
    for each in skipped:
        click.echo(f"left out: {each.device}: {each.why}")


def _mapped(said: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for each in said:
        theirs, equals, ours = each.partition("=")
        if not equals or not theirs or not ours:
            problem = FieldProblem("--map-role", f"{each[:60]!r} is no pair.", "Write compute-node=compute.")
            raise Invalid("The roles cannot be told.", problems=[problem])
        found[theirs] = ours
    return found


def _secret(path: Path, option: str) -> str:
    text = path.read_text().strip()
    if not text or not text.isprintable():
        raise PxeError(f"{option} {path} holds no secret on one line.", hint="Write it there, and nothing else.")
    return text
