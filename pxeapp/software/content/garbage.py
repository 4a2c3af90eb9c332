"""Garbage collection: what no tree, list, snapshot or medium holds any more leaves the store.

Mark and sweep over whole hashes. Whoever keeps something in the store has a row in `ROOTS`; what was added or asked
for within the last `GRACE` stays whatever the marks say, for it may be about to be named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store, partials
from pxeapp.software.tasks.running import Run

GRACE_S = 24 * 3600.0  # the longest import or sync; what it has brought in so far is named by nothing yet
PARTIAL_S = 7 * 24 * 3600.0  # how long a download that broke off may be gone on with

Root = Callable[[Session], Iterator[tuple[str, bool]]]
# Who keeps what: a function that gives hashes, and of each whether it is a manifest, whose files are kept as well.
ROOTS: Mapping[str, str] = {
    "media": "pxeapp.software.isos.models:kept",
    "repositories": "pxeapp.software.repositories.models:kept",
    "snapshots": "pxeapp.software.snapshots.models:kept",
}


@dataclass(slots=True)
class Swept:
    """What a collection did; bytes of files that are gone."""

    files: int = 0
    bytes: int = 0
    kept: int = 0


def clean(run: Run) -> dict[str, Any]:
    """The task: collect what nothing holds."""
    run.says("Looking what is held")
    with run.database.read() as session:
        held = marked(session, run.store)
    swept = sweep(
        run.store, held, now=time.time(), grace_s=float(run.options.get("grace_s", GRACE_S)), tell=run.progress
    )
    return {"files": swept.files, "bytes": swept.bytes, "kept": swept.kept}


def marked(session: Session, store: Store) -> set[str]:
    """Every hash that something holds. Raises NotFound for a manifest that is lost: then nothing may be swept."""
    held: set[str] = set()
    for place in ROOTS.values():
        module, _, name = place.partition(":")
        root: Root = getattr(import_module(module), name)
        for sha256, is_manifest in root(session):
            if not sha256 or sha256 in held:
                continue
            held.add(sha256)
            if is_manifest:
                held.update(entry.sha256 for entry in Manifest.load(store, sha256))
    return held


def sweep(
    store: Store,
    held: set[str],
    *,
    now: float,
    grace_s: float = GRACE_S,
    tell: Callable[[int], None] = lambda _done: None,
) -> Swept:
    """Remove every file that is not held and was not asked for within `grace_s`."""
    swept = Swept()
    for number, path in enumerate(store):
        tell(number)
        status = path.stat()
        # An old file of a tree that is served has links; those of a task that runs were touched when it asked.
        if path.name in held or status.st_mtime > now - grace_s:
            swept.kept += 1
            continue
        path.unlink()
        swept.files += 1
        swept.bytes += status.st_size
    for path in partials(store):
        if path.stat().st_mtime < now - PARTIAL_S:
            swept.bytes += path.stat().st_size
            path.unlink()
    return swept
