"""The import of a medium, from the image to a tree that is served and a release that boots: one task.

Every step can be done again: what was fetched goes on, what was taken into the store is not read twice, and tree, row
and release are made of that at the end. Until then the medium of that name stays what it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.errors import Invalid, NotFound, PxeError
from pxeapp.sentences import few
from pxeapp.software import adding, fetch, releases
from pxeapp.software.content import space, tree
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.isos import (
    bootable,
    checks,
    contents,
    image,
    keyrings,
    layouts,
    listing,
    live_server,
    orders,
    service,
    taking,
)
from pxeapp.software.isos.checks import md5sums
from pxeapp.software.isos.checks.content import Content, Finding
from pxeapp.software.isos.image import Image, refused
from pxeapp.software.isos.listing import Listing
from pxeapp.software.isos.medium import Medium
from pxeapp.software.isos.orders import Wanted
from pxeapp.software.isos.taking import Taken
from pxeapp.software.tasks.running import Run

FETCH_HOURS = 12.0
# What is kept of an ISO that is served whole: what boots, and what vouches for it.
BESIDE_ISO = re.compile(r"casper/(hwe-)?(vmlinuz|initrd)|\.disk/[^/]+|md5sum\.txt|dists/.+")
WHOLE = (layouts.UBUNTU_LIVE,)  # served as the ISO, which its installer loads
SHOWN_LINKS = 5


@dataclass(frozen=True, slots=True)
class Source:
    """The image, and its SHA-256."""

    path: Path
    sha256: str


def run(run: Run) -> dict[str, Any]:
    """Do it; see kinds.py."""
    wanted = Wanted.of(run.options)
    source = SOURCES[next(field for field in SOURCES if getattr(wanted, field))](run, wanted)
    journal = taking.Journal(run.store, source.sha256)
    try:
        return _imported(run, wanted, source, journal)
    except Invalid:
        journal.forget()  # the same image is refused the next time as well
        raise


def _imported(run: Run, wanted: Wanted, source: Source, journal: taking.Journal) -> dict[str, Any]:
    with run.busy(f"Looking what the image {wanted.plain} is"):
        iso = image.look(source.path, wanted.plain)
        found = listing.read(iso)
        medium = layouts.recognise(iso, found, lambda path: contents.small(iso, found, path))
    _refuse_hwe(wanted, medium, found)
    name, release = _names(run, wanted, medium, source)
    aliases, dropped = listing.resolved(found)
    whole = medium.layout in WHOLE
    taken = _taken(run, wanted, source, iso, found, journal, whole=whole)
    files = taking.named(taken, {**found.same, **aliases})
    content = Content(
        iso.name, medium, files, tuple(dropped), run.store, keyrings.of(medium.family, run.settings.data_dir)
    )
    with run.busy(f"Comparing {medium.title} with what it says of itself"):
        findings = [_of_the_iso(wanted), *checks.run(content)]
    manifest = _manifest(files, iso, source, whole=whole)
    said = {
        "title": medium.title, "layout": medium.layout, "family": medium.family, "version": medium.version,
        "kind": medium.kind, "label": iso.label, "source": wanted.source, "iso_sha256": source.sha256,
        "iso_bytes": iso.size, "iso": iso.name if whole else "", "kernel": medium.kernel, "initrd": medium.initrd,
        "stage2": medium.stage2, "repositories": [asdict(each) for each in medium.repositories],
        "checks": [asdict(each) for each in findings], "remarks": _remarks(dropped, iso, whole=whole),
        "files": len(manifest), "bytes": manifest.bytes, "manifest": manifest.save(run.store),
    }  # fmt: skip
    with run.busy(f"Publishing the medium {name}"), service.alone(run.settings):
        _publish(run, name, manifest, said, release=release, replace=wanted.replace)
        with run.database.read() as session:
            replace = _may_replace(session, wanted, name, release, source)
    making = bootable.Making(
        run, wanted, name, release, medium, found, manifest, iso.name if whole else "", iso.size,
        service.made_of(name, source.sha256), replace,
    )  # fmt: skip
    remark = _release(making) if release else ""
    if remark:
        with run.database.write() as session:
            row = service.get(session, name)
            row.remarks = [*row.remarks, remark]
    journal.forget()
    return {"media": name, "release": "" if remark else release, "remark": remark}


def _names(run: Run, wanted: Wanted, medium: Medium, source: Source) -> tuple[str, str]:
    """The medium's and its release's, neither of them taken; asked before the hours of reading, and again after."""
    name = wanted.name or medium.proposal
    release = (wanted.release or name) if wanted.make_release else ""
    if not releases.NAME.fullmatch(name):
        raise refused(f"{name!r}, as it calls itself, cannot be a name.", "Give a name: --name", field="name")
    with run.database.read() as session:
        if not wanted.replace:
            service.refuse_taken(session, name, but_of=source.sha256)
        mine = _may_replace(session, wanted, name, release, source)
    if release:
        adding.must_be_free(run.database, release, replace_existing=mine)
    return name, release


def _may_replace(session: Session, wanted: Wanted, name: str, release: str, source: Source) -> bool:
    """Whether a release of that name is to be replaced: on purpose, or since an import that was killed has made it.

    One that installs from a mirror, as a netinst's does, names the medium nowhere but in what it remembers.
    """
    ours = service.is_made_of(session, release, name, source.sha256)
    return wanted.replace or ours or release in service.used_by(session, name)


def _taken(
    run: Run,
    wanted: Wanted,
    source: Source,
    iso: Image,
    found: Listing,
    journal: taking.Journal,
    *,
    whole: bool,
) -> dict[str, Taken]:
    """Every file, read; and in the store those that will be served."""

    def keeps(path: str) -> bool:
        return not whole or BESIDE_ISO.fullmatch(path) is not None

    there = journal.read(run.store, found, keeps)
    missing = sum(size for path, size in found.files.items() if keeps(path) and path not in there)
    if whole and wanted.path and not run.store.has(source.sha256):
        missing += iso.size
    space.need(run.store.root, missing, for_what=f"Importing {iso.name}")

    def progress(done: int, path: str) -> None:
        run.progress(done, found.bytes, unit="bytes", says=f"Reading the file {path}")

    run.says(f"Reading {len(found.files)} files of {iso.name}")
    md5 = md5sums.NAME in found.files
    taken = taking.take(run.store, iso, found, journal, keeps=keeps, with_md5=md5, progress=progress)
    if whole and not run.store.has(source.sha256):
        with run.busy(f"Keeping the image {iso.name}"):
            run.store.add_file(source.path, sha256=source.sha256)
    return taken


def _manifest(files: Mapping[str, Taken], iso: Image, source: Source, *, whole: bool) -> Manifest:
    entries = [Entry(path, each.sha256, each.size) for path, each in files.items() if each.kept]
    if whole:
        entries.append(Entry(iso.name, source.sha256, iso.size))
    try:
        return Manifest(entries)
    except Invalid as error:
        raise refused(error.sentence, "It was tampered with; take the distribution's own.") from error


def _publish(run: Run, name: str, manifest: Manifest, said: dict[str, Any], *, release: str, replace: bool) -> None:
    """Serve the tree and write the row, in this order: a row without a tree would be a release that does not boot.

    Releases other than `release` that boot a kernel of an image before are named in it, after a crash as well.
    """
    with run.database.read() as session:
        if not replace:
            service.refuse_taken(session, name, but_of=said["iso_sha256"])
        row = service.find(session, name)
        before = row.manifest if row is not None and row.manifest != said["manifest"] else ""
    keep = []
    with suppress(NotFound):  # after a restore there are rows, and the store is empty
        keep = [Manifest.load(run.store, before)] if before else []
    tree.publish(run.store, manifest, service.folder(run.settings) / name, keep=keep)
    with run.database.write() as session:
        saved = service.save(session, name, said, replace=replace, actor=run.actor, now=run.now())
        if before or saved.previous:
            others = [each for each in service.booting_another(session, name, manifest) if each != release]
            saved.remarks = [*saved.remarks, *_others(others)]
        if before and not keep:
            saved.previous = ""


def _release(making: bootable.Making) -> str:
    """Make it; returns what stands in its way, as a sentence."""
    try:
        with making.run.busy(f"Making the release {making.release} of it"):
            bootable.make(making)
    except PxeError as error:
        return f"No release was made: {error.in_full}"
    return ""


def _remarks(dropped: Sequence[str], iso: Image, *, whole: bool) -> list[str]:
    """What to know of it."""
    if whole:
        memory = live_server.memory_mib(iso.size)
        return [f"A machine needs {memory} MiB of memory to install from it: it loads the ISO whole."]
    if not dropped:
        return []
    shown = ", ".join(dropped[:SHOWN_LINKS]) + (" and more" if len(dropped) > SHOWN_LINKS else "")
    return [f"Links that lead to their own folder or to nothing were left out: {shown}."]


def _others(names: Sequence[str]) -> list[str]:
    """A remark, or none."""
    said = f"Releases that boot a kernel of the image before install from it, too: {few(names, 10)}."
    return [said] if names else []


def _refuse_hwe(wanted: Wanted, medium: Medium, found: Listing) -> None:
    """A newer kernel is asked for where there is none: said before the image is read."""
    if wanted.hwe and medium.layout not in WHOLE:
        raise refused(
            f"{medium.title} has one kernel.", "Leave --hwe out: it is for Ubuntu's live server.", field="hwe"
        )
    live_server.boots(medium, found, hwe=wanted.hwe)


def _of_the_iso(wanted: Wanted) -> Finding:
    if wanted.sha256:
        return Finding("ISO", True, "The ISO has the SHA-256 that was said.")
    return Finding("ISO", False, "Nobody said which SHA-256 the ISO must have.")


def _upload(run: Run, wanted: Wanted) -> Source:
    if not run.store.has(wanted.upload):
        raise refused("the upload is not there any more.", "Upload the ISO again.", field="upload")
    return Source(run.store.path(wanted.upload), wanted.upload)


def _path(run: Run, wanted: Wanted) -> Source:
    path = orders.incoming(run.settings, wanted.path)
    if path is None:
        raise refused(f"{wanted.path} is not there any more.", "Copy the ISO there again.", field="path")
    size = path.stat().st_size
    found = taking.hashed(
        path, lambda done, name: run.progress(done, size, unit="bytes", says=f"Reading the checksum of {name}")
    )
    if wanted.sha256 not in ("", found):
        raise refused(
            f"{path.name} has SHA-256 {found}, not {wanted.sha256}.", "Compare with the publisher's SHA256SUMS.",
            field="sha256",
        )  # fmt: skip
    return Source(path, found)


def _url(run: Run, wanted: Wanted) -> Source:
    if not run.store.has(wanted.sha256):
        limits = fetch.Limits(max_bytes=image.MAX_BYTES, deadline_s=FETCH_HOURS * 3600)
        networks = run.settings.fetch_networks
        with run.store.receiving(sha256=wanted.sha256, key=f"iso {wanted.sha256}", name=wanted.plain) as incoming:
            first = True

            def progress(received: int, total: int) -> None:
                nonlocal first
                if first:
                    space.need(run.store.root, total - received, for_what=f"Fetching {wanted.plain}")
                first = False
                run.progress(received, total, unit="bytes", says=f"Fetching the medium from {wanted.url}")

            run.says(f"Fetching the medium from {wanted.url}")
            fetch.resume(wanted.url, incoming, networks=networks, limits=limits, progress=progress)
    return Source(run.store.path(wanted.sha256), wanted.sha256)


SOURCES: Mapping[str, Callable[[Run, Wanted], Source]] = {"upload": _upload, "path": _path, "url": _url}
