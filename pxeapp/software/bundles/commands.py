"""`pxeapp bundle`: made and imported through the API; one that lies here is verified without an appliance at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pxeapp.client import appliance, at
from pxeapp.client.uploading import upload
from pxeapp.client.watching import timeout
from pxeapp.commandline import agree, as_json, counting, moment, print_json, print_table, yes
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.sentences import few
from pxeapp.software.bundles import reading
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.task_commands import followed, wait

HEAD = ("NAME", "WHAT", "AT", "BY", "PARTS", "SIZE", "HOLDS", "SIGNED BY")
UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1024, "MI": 1024**2, "GI": 1024**3}


@click.group()
def bundle() -> None:
    """Releases, snapshots, boot programs and templates in one signed file, for where no network leads."""


@bundle.command("create")
@click.argument("name")
@click.option("--release", "releases", multiple=True, help="Repeatable.")
@click.option("--snapshot", "snapshots", multiple=True, help="Repeatable.")
@click.option("--templates", is_flag=True, help="The site's own templates.")
@click.option("--boot-programs", is_flag=True, help="iPXE, shim, GRUB as this host serves them.")
@click.option("--since", default="", help="A snapshot that the other side has: what it holds is left out.")
@click.option("--part-size", default="4400M", show_default=True, help="4400M for DVDs, 30G; 0: all in one part.")
@click.option("--replace", is_flag=True, help="Replace the bundle of that name if there is one.")
@wait
@timeout
@as_json
def create(
    name: str,
    releases: tuple[str, ...],
    snapshots: tuple[str, ...],
    templates: bool,
    boot_programs: bool,
    since: str,
    part_size: str,
    replace: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Make a bundle; its parts lie on the appliance, and can be fetched."""
    own = appliance()
    said = {
        "name": name, "releases": list(releases), "snapshots": list(snapshots), "templates": templates,
        "boot_programs": boot_programs, "since": since, "part_size": _size(part_size), "replace": replace,
    }  # fmt: skip
    ended = followed(own, own.post("/software/bundles", said), wait=wait, timeout=timeout, as_json=as_json)
    if ended["state"] == "done" and not as_json:
        result = ended["result"]
        click.echo(f"{len(result['parts'])} parts lie in {result['folder']}, {size_shown(result['bytes'])}.")
        click.echo(f"Signed by {', '.join(result['signed_by'])}: tell whoever imports it, by another way.")


@bundle.command("list")
@as_json
def list_bundles(as_json: bool) -> None:
    """List bundles that were made and imported."""
    found = list(appliance().each("/software/bundles"))
    if as_json:
        print_json(found)
    else:
        print_table(HEAD, [_row(each) for each in found])


@bundle.command("show")
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a bundle that was made here, with its parts."""
    found = appliance().get(at("software", "bundles", name))
    if as_json:
        print_json(found)
        return
    print_table(HEAD, [_row(found)])
    print_table(("PART", "SIZE"), [(each["name"], size_shown(each["bytes"])) for each in found["parts"]])


@bundle.command("fetch")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
def fetch(name: str, folder: Path) -> None:
    """Fetch the parts of a bundle into FOLDER."""
    own = appliance()
    found = own.get(at("software", "bundles", name))
    folder.mkdir(parents=True, exist_ok=True)
    for part in found["parts"]:
        target = folder / part["name"]
        if target.is_file() and target.stat().st_size == part["bytes"]:
            click.echo(f"{target} is here already.")
            continue
        draft = target.with_name(f".{target.name}.part")
        with counting(f"Fetching {part['name']}") as count, draft.open("wb") as out:
            for chunk in own.stream(at("software", "bundles", name, "parts", part["name"])):
                out.write(chunk)
                count(out.tell(), part["bytes"])
        draft.replace(target)
        click.echo(str(target))


@bundle.command("verify")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@as_json
def verify(paths: tuple[Path, ...], as_json: bool) -> None:
    """Hash a bundle that lies here, and say what it holds and who signed it. PATHS: its parts, or their folder."""
    found = reading.opened(_parts(paths), trusted=None)
    with counting(f"Hashing {found.index.name}") as count:
        found.verify(lambda done: count(done, found.index.bytes))
    about = {
        "bundle": found.index.name, "identity": found.identity, "signed_by": list(found.signed_by),
        "made_at": found.index.made_at, "made_on": found.index.made_on, "parts": len(found.paths),
        "bytes": found.index.bytes, "since": found.index.since.name if found.index.since else "",
        **found.index.summary(),
    }  # fmt: skip
    if as_json:
        print_json(about)
        return
    click.echo(f"The bundle {found.index.name} is whole: {len(found.paths)} parts, {size_shown(found.index.bytes)}.")
    click.echo(f"Made at {moment(found.index.made_at)} on {found.index.made_on}.")
    for name, value in found.index.summary().items():
        if value:
            click.echo(f"{name.replace('_', ' ').capitalize()}: {', '.join(value)}")
    if found.index.since:
        click.echo(f"It leaves out what snapshot {found.index.since.name} holds.")
    click.echo(f"Signed by {', '.join(found.signed_by)}: compare that with the appliance that made it.")


@bundle.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--trust", multiple=True, metavar="FINGERPRINT", help="Whose signature is taken; all 40 digits.")
@click.option("--replace-releases", is_flag=True, help="Where another release of that name is here.")
@click.option("--replace-templates", is_flag=True, help="Where a template was edited here.")
@click.option("--incoming", is_flag=True, help="PATHS lie on the appliance already, below its DATA_DIR/incoming.")
@yes
@wait
@timeout
@as_json
def take(
    paths: tuple[Path, ...],
    trust: tuple[str, ...],
    replace_releases: bool,
    replace_templates: bool,
    incoming: bool,
    yes: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Import a bundle. PATHS: its parts, or their folder; they are sent to the appliance."""
    own = appliance()
    said: dict[str, Any] = {
        "trust": list(trust), "replace_releases": replace_releases, "replace_templates": replace_templates,
    }  # fmt: skip
    if incoming:
        said["paths"] = list(map(str, paths))
    else:
        found = reading.opened(_parts(paths), trusted=None)
        held = "; ".join(
            f"{name.replace('_', ' ')}: {', '.join(value)}" for name, value in found.index.summary().items() if value
        )
        agree(f"{found.index.name}, signed by {found.signed_by[0]}, holds {held}.", yes=yes)
        said["uploads"] = [str(upload(own, path)["sha256"]) for path in found.paths]
    ended = followed(own, own.post("/software/bundles/import", said), wait=wait, timeout=timeout, as_json=as_json)
    if ended["state"] == "done" and not as_json:
        _say(ended["result"])


@bundle.command("delete")
@click.argument("name")
@yes
def delete(name: str, yes: bool) -> None:
    """Remove a bundle that was made here, with its parts."""
    agree(f"The parts of {name} are removed from the appliance.", yes=yes)
    appliance().delete(at("software", "bundles", name))
    click.echo(f"The bundle {name} is removed.")


def _parts(paths: tuple[Path, ...]) -> list[Path]:
    return list(dict.fromkeys(part for path in paths for part in reading.parts_beside(path)))


def _say(result: Mapping[str, Any]) -> None:
    for said, about in (("taken", "Taken"), ("same", "Here already"), ("kept", "Ours stay")):
        for what, names in result[said].items():
            if names:
                click.echo(f"{about}: {what.replace('_', ' ')} {', '.join(names)}")
    if any(result["kept"].values()):
        click.echo("They were edited here; --replace-templates takes those of the bundle.")


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12})\s*([KMG]?I?)B?", text.strip().upper())
    if found is None or found[2] not in UNITS:
        problem = FieldProblem("--part-size", f"{text!r} is no size.", "Write 4400M, 30G, or 0 for one part.")
        raise Invalid("The bundle cannot be made.", problems=[problem])
    return int(found[1]) * UNITS[found[2]]


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    held = [name for names in found["contents"].values() for name in names]
    return (
        found["name"], found["direction"], moment(found["at"]), found["by"], str(found["part_count"]),
        size_shown(found["bytes"]), few(held, 4),
        ", ".join(each[-16:] for each in found["signed_by"]),
    )  # fmt: skip
