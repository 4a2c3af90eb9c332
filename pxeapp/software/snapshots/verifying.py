"""Whether what is served of a snapshot is what was kept: every file hashed, nothing missing, nothing besides."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pxeapp.errors import Conflict
from pxeapp.sentences import few
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.snapshots import publishing, service
from pxeapp.software.tasks.running import Run

VERIFY = "snapshot.verify"
CHUNK = 1024 * 1024
TOLD = 10


def verify(run: Run) -> dict[str, Any]:
    """The task: raises Conflict with what differs, else says how much was looked at."""
    with run.database.read() as session:
        row = service.get(session, run.subject)
        digest, same = row.digest, service.digest_of(row.repositories) == row.digest
        parts = {each.name: each.served or each.manifest for each in row.repositories}
    target = publishing.folder(run.settings, publishing.SNAPSHOTS, run.subject)
    manifests = {name: Manifest.load(run.store, sha256) for name, sha256 in parts.items()}
    total = sum(manifest.bytes for manifest in manifests.values())
    found = [] if same else ["its rows are not those that its digest was made of"]
    done = 0

    def read(size: int) -> None:
        nonlocal done
        done += size
        run.progress(done, total, unit="bytes", says=f"Hashing {run.subject}")

    for name, manifest in sorted(manifests.items()):
        found += [f"{name}/{problem}" for problem in differences(manifest, target / name, read)]
    if found:
        raise Conflict(
            f"Snapshot {run.subject} is not served as it was taken: {few(found, TOLD, comma='; ', last=', and ')}.",
            hint="Was a file changed by hand, or the disk damaged? Take it away (snapshot delete) or restore a backup.",
        )
    return {"digest": digest, "files": sum(map(len, manifests.values())), "bytes": total}


def differences(manifest: Manifest, folder: Path, read: Callable[[int], None] = lambda _size: None) -> Iterator[str]:
    """What is wrong with a tree, a sentence for each file; `read` is told of the bytes as they are hashed."""
    for entry in manifest:
        path = folder / entry.path
        if path.is_symlink() or not path.is_file():
            yield f"{entry.path} is missing"
        elif _digest(path, read) != entry.sha256:
            yield f"{entry.path} has other content"
    for parent, _folders, files in os.walk(folder):
        for name in files:
            inside = str((Path(parent) / name).relative_to(folder))
            if manifest.get(inside) is None:
                yield f"{inside} does not belong to it"


def _digest(path: Path, read: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            read(len(chunk))
    return digest.hexdigest()
