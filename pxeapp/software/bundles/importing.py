"""Importing a bundle: looked at whole, taken into the store, held against what is here, and only then used.

Interrupted anywhere it goes on: what is in the store is not read again, and what is here already is left alone. What a
refused one has brought into the store is named by nothing, and goes with the next `pxeapp software clean`.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pxeapp.errors import Conflict, Invalid
from pxeapp.software import adding, media
from pxeapp.software.bundles import checking, making, reading
from pxeapp.software.bundles.checking import Wishes
from pxeapp.software.bundles.extras import Extra, Extras
from pxeapp.software.bundles.index import Index, ReleaseEntry
from pxeapp.software.bundles.models import IMPORTED
from pxeapp.software.bundles.reading import Opened
from pxeapp.software.content import space
from pxeapp.software.models import Release
from pxeapp.software.repositories import signing
from pxeapp.software.snapshots import service
from pxeapp.software.tasks.running import Run

TOLD = 10
INCOMING = "incoming"  # below data_dir: where an operator lays files for the appliance to take


def import_(run: Run, extras: Extras) -> dict[str, Any]:
    """The task: raises with every objection, or says what was taken, what was there, and what of ours was kept."""
    with parts(run) as paths:
        return _imported(run, extras, reading.opened(paths, trusted=partial(trusts, run)))


def _imported(run: Run, extras: Extras, found: Opened) -> dict[str, Any]:
    wishes = Wishes(bool(run.options.get("replace_releases")), bool(run.options.get("replace_templates")))
    _refuse_lacking(run, found.index)
    missing = {sha256: size for sha256, size in found.index.blobs.items() if not run.store.has(sha256)}
    space.need(run.store.root, sum(missing.values()), for_what=f"Bundle {found.index.name}")
    _take_in(run, found, missing)
    _refuse(run, found.index, extras, wishes)
    taken = _use(run, found.index, extras, wishes)
    making.record(
        run.database, IMPORTED, found.index, found.data, found.signed_by, parts=len(found.paths), size=found.size,
        by=run.actor, at=run.now(),
    )  # fmt: skip
    return {"bundle": found.index.name, "identity": found.identity, "signed_by": list(found.signed_by), **taken}


def verify(run: Run) -> dict[str, Any]:
    """The task: hash all of it, say who signed it and whether that is somebody whom this appliance trusts."""
    with parts(run) as paths:
        return _verified(run, reading.opened(paths, trusted=None))


def _verified(run: Run, found: Opened) -> dict[str, Any]:
    total = found.index.bytes
    found.verify(lambda done: run.progress(done, total, unit="bytes", says=f"Hashing {found.index.name}"))
    return {
        "bundle": found.index.name, "identity": found.identity, "signed_by": list(found.signed_by), "bytes": total,
        "parts": len(found.paths), "made_at": found.index.made_at, "made_on": found.index.made_on,
        "since": found.index.since.name if found.index.since else "",
        "trusted": any(trusts(run, each) for each in found.signed_by), **found.index.summary(),
    }  # fmt: skip


@contextmanager
def parts(run: Run) -> Iterator[list[Path]]:
    """Until the block ends: uploads by their hash, and files that were laid below `data_dir/incoming`.

    Sentences name a part by its file, so that uploads whose names are known go by those.
    """
    uploads = [run.store.path(sha256) for sha256 in run.options.get("uploads", ())]
    names = [media.plain(str(each)) for each in run.options.get("names", ())]
    root = run.settings.data_dir / "cache"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=root) as folder:
        for number, name in enumerate(names[: len(uploads)]):
            link = Path(folder) / f"{number:03d}" / (name.lstrip(".")[:200] or "part")
            link.parent.mkdir()
            link.symlink_to(uploads[number].resolve())
            uploads[number] = link
        yield [*uploads, *within(run.settings.data_dir, run.options.get("paths", ()))]


def within(data_dir: Path, said: Sequence[str]) -> list[Path]:
    """Files that an operator names on the appliance's own disk; raises Invalid for any that lies elsewhere."""
    root = (data_dir / INCOMING).resolve()
    found = []
    for each in said:
        for path in reading.parts_beside(root / each):
            if not path.resolve().is_relative_to(root):
                raise Invalid(f"{each} does not lie below {root}.", hint="Lay the parts there, or upload them.")
            found.append(path.resolve())
    return list(dict.fromkeys(found))


def trusts(run: Run, fingerprint: str) -> bool:
    """Whether this appliance takes what that key has signed: its own, those configured, and what the operator said."""
    said = {str(each).replace(" ", "").upper() for each in run.options.get("trust", ())}
    if fingerprint in said or fingerprint in run.settings.bundle_keys:
        return True
    with run.database.read() as session:
        return any(row.fingerprint == fingerprint for row in signing.in_use(session))


def _refuse_lacking(run: Run, plan: Index) -> None:
    """An incremental one needs what the other side knew to be here."""
    lacking = [sha256 for sha256, size in plan.assumed.items() if not _is_here(run, sha256, size)]
    if lacking:
        since = f"snapshot {plan.since.name}" if plan.since else "an earlier snapshot"
        raise Conflict(
            f"The bundle {plan.name} leaves out what {since} holds, and {len(lacking)} files of that are not here.",
            hint=f"Import the bundle with {since} first, or make this one without --since.",
        )


def _is_here(run: Run, sha256: str, size: int) -> bool:
    return run.store.has(sha256) and run.store.size(sha256) == size


def _take_in(run: Run, found: Opened, missing: dict[str, int]) -> None:
    total, done = found.index.bytes, found.index.bytes - sum(missing.values())
    for sha256, size in missing.items():
        with run.store.receiving(
            sha256=sha256, key=f"bundle:{sha256}", name=f"A file of {found.index.name}"
        ) as incoming:
            if incoming.received > size:
                incoming.restart()
            for chunk in found.read(sha256, skip=incoming.received):
                incoming.write(chunk)
                run.progress(done + incoming.received, total, unit="bytes", says=f"Reading {found.index.name}")
            if incoming.received != size:
                raise Invalid(f"A file of {found.index.name} has {incoming.received} bytes and not {size}.")
        done += size


def _refuse(run: Run, plan: Index, extras: Extras, wishes: Wishes) -> None:
    with run.busy(f"Looking at what {plan.name} holds"):
        with run.database.read() as session:
            problems = list(checking.problems(session, run.store, plan, wishes))
        for extra, named in _extras(extras, plan):
            problems += extra.problems(run, _files(run, named))
    if problems:
        more = f" And {len(problems) - TOLD} more." if len(problems) > TOLD else ""
        raise Invalid(f"Nothing of {plan.name} was used. {' '.join(problems[:TOLD])}{more}")


def _use(run: Run, plan: Index, extras: Extras, wishes: Wishes) -> dict[str, Any]:
    """Snapshots first, since releases are pinned to them."""
    run.says(f"Taking what {plan.name} holds")
    origin = f"bundle {plan.name}"
    taken: dict[str, list[str]] = {"snapshots": [], "releases": [], "boot_programs": [], "templates": []}
    same: dict[str, list[str]] = {name: [] for name in taken}
    kept: dict[str, list[str]] = {name: [] for name in taken}
    with run.database.write() as session:
        for each in plan.snapshots:
            there = session.scalar(service.present(each.name))
            parts = [part.model_dump() for part in each.repositories]
            service.keep(
                session, each.name, parts, description=each.description, origin=origin, actor=run.actor, now=run.now(),
                taken_at=_moment(each.taken_at) or run.now(),
            )  # fmt: skip
            (same if there else taken)["snapshots"].append(each.name)
    for entry in plan.releases:
        (taken if _take_release(run, entry) else same)["releases"].append(entry.name)
    for name, (extra, named) in zip(("boot_programs", "templates"), _extras(extras, plan), strict=True):
        came = extra.take(run, _files(run, named), bundle=plan.name, replace=wishes.replace_templates)
        taken[name], same[name], kept[name] = list(came.taken), list(came.same), list(came.kept)
    return {"taken": taken, "same": same, "kept": kept}


def _take_release(run: Run, entry: ReleaseEntry) -> bool:
    """Through the door that every release comes in by; False when it is here already."""
    with run.database.read() as session:
        row = session.scalar(select(Release).where(Release.name == entry.name))
        if row is not None and row.ready and checking.same_release(row, entry):
            return False
    stage = Path(tempfile.mkdtemp(prefix=".import-", dir=run.store.root))
    try:
        for name, sha256 in entry.files.items():
            target = stage / name
            target.parent.mkdir(parents=True, exist_ok=True)
            run.store.link(sha256, target)
        with run.busy(f"Adding release {entry.name}"):
            adding.from_directory(
                run.database, run.settings, checking.description(entry), stage, kernel=entry.kernel,
                initrd=entry.initrd, files=[name for name in entry.files if name not in (entry.kernel, entry.initrd)],
                actor=run.actor, now=run.now(), replace_existing=True,
            )  # fmt: skip
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return True


def _extras(extras: Extras, plan: Index) -> list[tuple[Extra, dict[str, str]]]:
    return [(extras.boot_programs, plan.boot_programs), (extras.templates, plan.templates)]


def _files(run: Run, named: dict[str, str]) -> dict[str, Path]:
    return {name: run.store.path(sha256) for name, sha256 in named.items()}


def _moment(text: str) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
