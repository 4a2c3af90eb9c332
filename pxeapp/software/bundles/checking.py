"""What a bundle says of itself, held against its blobs and what is here: every objection, before anything is used."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.errors import FieldProblem, Invalid, PxeError
from pxeapp.software import media, packages, releases
from pxeapp.software.bundles.index import Index, ReleaseEntry, RepositoryEntry, SnapshotEntry
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.models import Release
from pxeapp.software.releases import OUR_SETTINGS, Description
from pxeapp.software.snapshots import holding, pins, service
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.software.snapshots.pins import Pin

LARGEST = 128 * 1024 * 1024  # of a manifest or a list of packages, unpacked
FIELDS = ("family", "version", "installer", "kernel_args", "install_url", "repositories", "settings")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What whoever imports has said."""

    replace_releases: bool = False
    replace_templates: bool = False


def problems(session: Session, store: Store, plan: Index, wishes: Wishes) -> Iterator[str]:
    """Sentences; none when all of it may be used."""
    sizes = {**plan.assumed, **plan.blobs}
    for each in plan.snapshots:
        yield from _snapshot(session, store, each, sizes)
    there = {each.name: {part.name for part in each.repositories} for each in plan.snapshots}
    for entry in plan.releases:
        yield from _release(session, entry, sizes, there, replace=wishes.replace_releases)
    for what, named in (("boot program", plan.boot_programs), ("template", plan.templates)):
        yield from (f"The {what} {name} is not in it." for name, sha256 in named.items() if sha256 not in sizes)


def description(entry: ReleaseEntry) -> Description:
    """What an operator said of a release; raises Invalid for what nobody could say."""
    if set(entry.said) != {"name", *FIELDS} or entry.said["name"] != entry.name:
        raise Invalid(f"Release {entry.name} says other things of itself than a release does.")
    said = {name: entry.said[name] for name in FIELDS}
    texts = ("family", "version", "installer", "kernel_args", "install_url")
    if not all(isinstance(said[name], str) for name in texts) or not isinstance(said["settings"], dict):
        raise Invalid(f"Release {entry.name} has a field of the wrong kind.")
    if not isinstance(said["repositories"], list):
        raise Invalid(f"Release {entry.name} has a field of the wrong kind.")
    return Description(name=entry.name, **said).checked()


def same_release(row: Release, entry: ReleaseEntry) -> bool:
    """Whether the release that is here is the bundle's."""
    files = {name.partition("/")[2]: sha256 for name, sha256 in media.declared(row).items()}
    ours = {key: value for key, value in row.settings.items() if key not in OUR_SETTINGS}
    theirs = {key: value for key, value in entry.said["settings"].items() if key not in OUR_SETTINGS}
    plain = tuple(getattr(row, name) == entry.said[name] for name in FIELDS if name != "settings")
    return files == entry.files and ours == theirs and all(plain)


def _snapshot(session: Session, store: Store, each: SnapshotEntry, sizes: Mapping[str, int]) -> Iterator[str]:
    parts = [part.model_dump() for part in each.repositories]
    if len({part["name"] for part in parts}) != len(parts):
        yield f"Snapshot {each.name} has a repository twice."
    if service.digest_of(parts) != each.digest:
        yield f"Snapshot {each.name} does not have the digest that it says."
    row = session.scalar(select(Snapshot).where(Snapshot.name == each.name))
    if row is not None and row.digest != each.digest:
        yield f"There is a snapshot {each.name} here already, with other content; a name never means two things."
    for part in each.repositories:
        try:
            yield from _repository(store, each.name, part, sizes)
        except (PxeError, ValueError, TypeError, zlib.error) as error:
            said = error.sentence if isinstance(error, PxeError) else "it cannot be read"
            yield f"{part.name} of snapshot {each.name}: {said}"


def _repository(store: Store, snapshot: str, part: RepositoryEntry, sizes: Mapping[str, int]) -> Iterator[str]:
    what = f"{part.name} of snapshot {snapshot}"
    for sha256 in filter(None, (part.manifest, part.packages)):
        if sha256 not in sizes:
            yield f"{what} lacks its list of files."
            return
        _refuse_bomb(store.path(sha256), what)
    manifest = Manifest.load(store, part.manifest)
    for entry in manifest:
        if sizes.get(entry.sha256) != entry.size:
            yield f"{what} lacks {entry.path}."
            return
    for package in packages.load(store, part.packages):
        found = manifest.get(package.path)
        if package.kind != part.kind or found is None or (found.sha256, found.size) != (package.sha256, package.size):
            yield f"{what} lists {package.name} {package.version}, which is not the file that it serves."
            return


def _refuse_bomb(path: Path, what: str) -> None:
    """A few kilobytes may be unpacked to gigabytes: this is looked at without keeping them."""
    unpacking, size = zlib.decompressobj(), 0
    with path.open("rb") as source:
        while chunk := source.read(64 * 1024):
            while chunk:
                size += len(unpacking.decompress(chunk, 1024 * 1024))
                chunk = unpacking.unconsumed_tail
                if size > LARGEST:
                    raise Invalid(f"{what} has a list that would be larger than {LARGEST} bytes.")


def _lacking(session: Session, said: Description, pin: Pin, there: Mapping[str, set[str]]) -> Iterator[str]:
    """What the pin of a release lacks: of a snapshot in the bundle, of one that is here, or of a channel of ours."""
    read = pins.repositories(releases.addresses(said), holding.NODE_URL)
    if not pin.channel and pin.name in there:
        yield from (
            f"Release {said.name} reads {name}, which snapshot {pin.name} lacks." for name in read - there[pin.name]
        )
        return
    yield from (f"Release {said.name}: {problem}" for problem, _fix in holding.lacking(session, pin, read))


def _release(
    session: Session, entry: ReleaseEntry, sizes: Mapping[str, int], there: Mapping[str, set[str]], *, replace: bool
) -> Iterator[str]:
    try:
        said = description(entry)
        json.dumps(entry.said)
        pin = pins.parse(entry.said["settings"].get(pins.KEY))
    except Invalid as error:
        yield from (f"Release {entry.name}: {each}" for each in error.problems or (FieldProblem("", error.sentence),))
        return
    for name, sha256 in entry.files.items():
        if not media.FILE_PATH.fullmatch(name) or sha256 not in sizes:
            yield f"Release {said.name} has no file {name[:100]!r}."
    if not {entry.kernel, entry.initrd} <= set(entry.files):
        yield f"Release {said.name} has no kernel or no initrd."
    if pin is not None:
        yield from _lacking(session, said, pin, there)
    row = session.scalar(select(Release).where(Release.name == entry.name))
    if row is not None and not same_release(row, entry) and not replace:
        yield f"There is a release {entry.name} here already, and it is another one; --replace-releases takes this one."
