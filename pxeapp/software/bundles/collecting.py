"""What goes into a bundle: rows as entries of its index, and where the bytes of each blob are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pxeapp.errors import Conflict
from pxeapp.software import media, releases
from pxeapp.software.bundles.extras import Extra, Extras
from pxeapp.software.bundles.index import ReleaseEntry, RepositoryEntry, Since, SnapshotEntry
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.models import Release
from pxeapp.software.snapshots import pins, service
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.software.tasks.running import Run

SAID = ("name", "family", "version", "installer", "kernel_args", "install_url", "repositories", "settings")


@dataclass(slots=True)
class Contents:
    """All of it. `sources`: where each blob lies; of what is in the store that is there, too."""

    releases: list[ReleaseEntry] = field(default_factory=list)
    snapshots: list[SnapshotEntry] = field(default_factory=list)
    boot_programs: dict[str, str] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    since: Since | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    assumed: dict[str, int] = field(default_factory=dict)

    def add(self, sha256: str, path: Path) -> None:
        """One more blob."""
        if sha256 not in self.sizes:
            self.sizes[sha256], self.sources[sha256] = path.stat().st_size, path


def collect(run: Run, extras: Extras) -> Contents:
    """By the task's options: releases, snapshots, since, boot_programs, templates. Raises NotFound, Conflict."""
    found = Contents()
    said = run.options
    with run.database.read() as session:
        for name in said.get("releases", ()):
            _release(run, found, releases.bootable(session, name))
        for name in said.get("snapshots", ()):
            _snapshot(run, found, service.get(session, name))
        if said.get("since"):
            _leave_out(run.store, found, service.get(session, said["since"]))
    if said.get("boot_programs"):
        found.boot_programs = _extra(run, found, extras.boot_programs)
    if said.get("templates"):
        found.templates = _extra(run, found, extras.templates)
    if not found.sizes and not found.assumed:
        raise Conflict(
            "There is nothing to put into the bundle.",
            hint="Name releases or snapshots, or add --boot-programs or --templates where the site has any.",
        )
    _refuse_pin_without_its_snapshot(found)
    return found


def _entry(row: Release, files: dict[str, str]) -> ReleaseEntry:
    """A release as an index has it; `files` are hashes by the name below the revision."""
    said: dict[str, Any] = {name: getattr(row, name) for name in SAID}
    said["settings"] = {key: value for key, value in row.settings.items() if key != "files"}
    return ReleaseEntry(name=row.name, said=said, kernel=_below(row.kernel), initrd=_below(row.initrd), files=files)


def _release(run: Run, found: Contents, row: Release) -> None:
    files = {}
    for name, sha256 in media.declared(row).items():
        path = run.settings.media_dir / row.name / name
        if not path.is_file():
            raise Conflict(f"{name} of release {row.name} is missing.", hint=f"Run: pxeapp release verify {row.name}")
        files[_below(name)] = sha256
        found.add(sha256, path)
    found.releases.append(_entry(row, files))


def _below(name: str) -> str:
    """Without its revision, which the other side makes of the same files again."""
    return name.partition("/")[2]


def _snapshot(run: Run, found: Contents, row: Snapshot) -> None:
    found.snapshots.append(
        SnapshotEntry(
            name=row.name, digest=row.digest, description=row.description, taken_at=row.taken_at.isoformat(),
            repositories=[
                RepositoryEntry(**{name: getattr(each, name) for name in service.COPIED}) for each in row.repositories
            ],
        )
    )  # fmt: skip
    for sha256, size in held_by(run.store, row).items():
        if sha256 not in found.sizes:
            run.store.has(sha256)  # it is in use: garbage collection lets it be for a day
            found.sizes[sha256], found.sources[sha256] = size, run.store.path(sha256)


def held_by(store: Store, row: Snapshot) -> dict[str, int]:
    """Every blob that a snapshot needs, with its size."""
    found: dict[str, int] = {}
    for each in row.repositories:
        for sha256 in filter(None, (each.manifest, each.packages)):
            found[sha256] = store.size(sha256)
        found.update((entry.sha256, entry.size) for entry in Manifest.load(store, each.manifest))
    return found


def _leave_out(store: Store, found: Contents, since: Snapshot) -> None:
    """What the other side has by an earlier snapshot does not travel again."""
    found.since = Since(name=since.name, digest=since.digest)
    there = held_by(store, since)
    found.assumed = {sha256: size for sha256, size in found.sizes.items() if sha256 in there}
    for sha256 in found.assumed:
        del found.sizes[sha256], found.sources[sha256]


def _extra(run: Run, found: Contents, extra: Extra) -> dict[str, str]:
    made = {}
    for name, content in sorted(extra.bring(run).items()):
        if isinstance(content, bytes):
            blob = run.store.add_bytes(content)
            sha256, path = blob.sha256, run.store.path(blob.sha256)
        else:
            with content.open("rb") as handle:
                sha256, path = hashlib.file_digest(handle, "sha256").hexdigest(), content
        found.add(sha256, path)
        made[name] = sha256
    return made


def _refuse_pin_without_its_snapshot(found: Contents) -> None:
    """A release that is pinned to a snapshot is of no use where that is not."""
    there = {each.name for each in found.snapshots} | ({found.since.name} if found.since else set())
    for each in found.releases:
        pin = pins.parse(each.said["settings"].get(pins.KEY))
        if pin is not None and not pin.channel and pin.name not in there:
            raise Conflict(
                f"Release {each.name} is pinned to snapshot {pin.name}, which is not in the bundle.",
                hint=f"Add --snapshot {pin.name}.",
            )
