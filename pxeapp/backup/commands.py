"""`pxeapp backup` and `pxeapp restore`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pxeapp import config
from pxeapp.backup import making, restoring
from pxeapp.backup import manifest as manifests
from pxeapp.backup.making import Wish
from pxeapp.backup.manifest import Manifest
from pxeapp.commandline import agree, working, yes
from pxeapp.config import PREFIX, Settings
from pxeapp.db import now
from pxeapp.errors import ConfigError

SUFFIX = ".pxeapp.tar.gz"


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--verify", is_flag=True, help="Make nothing: read FILE and say whether it is good.")
@click.option("--without-key", is_flag=True, help="Leave the key out; keep it elsewhere, or the secrets are lost.")
@click.option("--with-media", is_flag=True, help="Add kernels, initrds, installer components and own repositories.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def backup(file: Path | None, verify: bool, without_key: bool, with_media: bool, as_json: bool) -> None:
    """Copy everything that cannot be made again into FILE, while the appliance runs."""
    if verify:
        if file is None:
            raise click.UsageError("Name the file to verify.")
        with working(f"Reading {file} ..."):
            manifest = making.verify(file)
        click.echo(f"{file} is whole.", err=as_json)
    else:
        settings = config.load()
        moment = now()
        if file is None:
            if not settings.data_dir.is_dir():
                raise ConfigError(f"There is no data directory {settings.data_dir}.", hint="Set PXEAPP_DATA_DIR.")
            settings.backups_dir.mkdir(mode=0o700, exist_ok=True)
            file = settings.backups_dir / f"{moment:%Y%m%d-%H%M%S}{SUFFIX}"
        wish = Wish(key=not without_key, media=with_media)
        with working("Copying ..."):
            manifest = making.make(settings, file.absolute(), wish, say=_say, now=moment)
        click.echo(f"The backup is in {file}, {file.stat().st_size / 1e6:.1f} MB, read back and whole.", err=as_json)
    if as_json:
        click.echo(json.dumps(manifest.to_dict(), indent=2))
    else:
        _describe(manifest)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Move an appliance that is there already aside.")
@yes
def restore(file: Path, replace: bool, yes: bool) -> None:
    """Make this host the appliance of a backup. It only observes until `pxeapp resume`."""
    settings = config.load()
    if replace:
        agree(f"The appliance in {settings.data_dir} is moved aside, and that of {file} takes its place.", yes=yes)
    with working("Restoring ..."):
        done = restoring.restore(settings, file, replace=replace, say=_say, now=now())
    before, after = done.schema
    _describe(done.manifest)
    if before != after:
        click.echo(f"Its schema went from {before} to {after}.")
    if done.aside:
        click.echo(f"What was here before lies in {' and '.join(done.aside)}.")
    if done.found.ended or done.found.observed or done.found.power:
        click.echo(
            f"Under way when it was made: {done.found.observed} deployments, which are observed and neither armed nor "
            f"switched again; {done.found.ended} that had not begun, which ended; {done.found.power} power actions, "
            "which ended as unconfirmed."
        )
    _compare(settings, done.manifest)
    if not done.manifest.has_media and done.manifest.releases:
        click.echo("Media are not in it. Run: pxeapp release verify — and add again what is missing.")
    click.echo("The appliance only observes now: start pxeapp, look, and then run: pxeapp resume")


def _describe(manifest: Manifest) -> None:
    counts = ", ".join(f"{number} {name}" for name, number in manifest.counts.items())
    click.echo(
        f"Made {manifest.made_at:%Y-%m-%d %H:%M} UTC by pxeapp {manifest.version}, schema {manifest.schema}, "
        f"{manifest.database}: {counts}; media: {'yes' if manifest.has_media else 'no'}."
    )
    if manifest.has_key:
        click.echo("It holds the KEY: whoever has this file has every BMC password. Keep it as you keep those.")
    else:
        click.echo(f"It does NOT hold the key: keep {manifests.KEY} elsewhere, or every BMC password in it is lost.")


def _compare(settings: Settings, manifest: Manifest) -> None:
    """What was set otherwise where the backup was made; the new host may have its reasons."""
    here = manifests.settings_of(settings)
    for name, there in sorted(manifest.settings.items()):
        if name != "data_dir" and here.get(name, there) != there and str(manifest.settings["data_dir"]) not in there:
            click.echo(f"{PREFIX}{name.upper()} was {there or 'empty'}, here it is {here[name] or 'empty'}.")


def _say(line: str) -> None:
    click.echo(line, err=True)
