"""A yum repository's metadata, made by createrepo_c over the packages: repodata/repomd.xml, signed by repomd.xml.asc.

Its metadata of the generation before is given to createrepo_c, which then reads the headers of new packages only. It is
compressed with gzip, and without databases: yum of EL7 reads that as well as dnf does.
"""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pxeapp.errors import Invalid, Unavailable
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Package
from pxeapp.software.repositories import unpacking
from pxeapp.software.repositories.apt import Signs

REPODATA = "repodata"
REPOMD = f"{REPODATA}/repomd.xml"
DEADLINE_S = 3600.0
LOOK_S = 0.2
CHANGELOGS = "10"  # of each package; all of them make `other` larger than everything else together
LEFT_S = 24 * 3600.0  # what a killed process has left in the workshop, and nobody works on any more
NOTHING = Manifest(())
# More of an upstream's metadata than what is in the packages: what createrepo_c calls it, and its file's ending.
EXTRAS = {"updateinfo": ".xml", "modules": ".yaml", "group": ".xml"}


def files(
    store: Store,
    packages: Sequence[Package],
    *,
    now: dt.datetime,
    signer: Signs,
    before: Manifest = NOTHING,
    extra: Mapping[str, bytes] | None = None,
    tell: Callable[[str], None] = lambda _says: None,
) -> dict[str, bytes]:
    """Every file below `repodata/`, by its path. `tell` is called again and again, and may raise to end the work.

    `before` is the tree of the generation before. `extra` is more metadata, unpacked, by its kind (see
    EXTRAS); None takes over what there was before.
    """
    program = _program("createrepo_c")
    tree = [package.path for package in packages if not package.path.endswith(".rpm")]
    if tree:
        raise Invalid(f"{tree[0]} is not named as an rpm package is.")
    with _workshop(store) as work:
        for package in packages:
            target = work / "tree" / package.path
            target.parent.mkdir(parents=True, exist_ok=True)
            store.link(package.sha256, target)
        tell(f"Reading {len(packages)} packages")
        stamp = str(int(now.timestamp()))
        _run(
            [program, "--quiet", "--no-database", "--general-compress-type=gz", "--error-exit-val",
             f"--changelog-limit={CHANGELOGS}", f"--revision={stamp}", "--set-timestamp-to-revision", "--workers=2",
             *_update(store, packages, before, work), str(work / "tree")],
            tell,
        )  # fmt: skip
        repodata = work / "tree" / REPODATA
        for kind, content in sorted((_extra(store, before) if extra is None else extra).items()):
            source = work / f"{kind}{EXTRAS[kind]}"
            source.write_bytes(content)
            _run([_program("modifyrepo_c"), "--compress-type=gz", f"--mdtype={kind}", str(source), str(repodata)], tell)
        found = {f"{REPODATA}/{path.name}": path.read_bytes() for path in sorted(repodata.iterdir()) if path.is_file()}
    return {**found, f"{REPOMD}.asc": signer.sign_detached(found[REPOMD])}


def is_transient(path: str) -> bool:
    """Whether a file is asked for by what an older repomd.xml said: kept for a generation beside the new ones."""
    return not path.startswith(REPOMD)


def _extra(store: Store, before: Manifest) -> dict[str, bytes]:
    """The additional metadata of a generation, as modifyrepo_c has named and packed it."""
    ends = {f"-{kind}{end}.gz": kind for kind, end in EXTRAS.items()}
    return {
        kind: unpacking.unpacked(store.read(entry.sha256), entry.path, name=entry.path)
        for entry in before
        for end, kind in ends.items()
        if entry.path.startswith(f"{REPODATA}/") and entry.path.endswith(end)
    }


def _update(store: Store, packages: Iterable[Package], before: Manifest, work: Path) -> list[str]:
    """The words that let createrepo_c take over what it has read before.

    It looks at a file's name alone then (the times of files in the store mean nothing), so not where one name stood for
    another file.
    """
    changed = any((known := before.get(each.path)) and known.sha256 != each.sha256 for each in packages)
    old = [entry for entry in before if entry.path.startswith(f"{REPODATA}/")]
    if changed or not old:
        return []
    (work / "before" / REPODATA).mkdir(parents=True)
    for entry in old:
        store.link(entry.sha256, work / "before" / entry.path)
    return ["--update", "--skip-stat", f"--update-md-path={work / 'before'}"]


@contextmanager
def _workshop(store: Store) -> Iterator[Path]:
    """A folder beside the pool, so that packages are linked and not copied."""
    root = store.root / "work"
    (root).mkdir(parents=True, exist_ok=True)
    for left in root.iterdir():
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - LEFT_S:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="rpm-", dir=root) as made:
        (Path(made) / "tree").mkdir()
        yield Path(made)


def _program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise Unavailable(f"{name} is not installed, and makes the metadata.", hint="Install createrepo-c.")
    return program


def _run(command: Sequence[str], tell: Callable[[str], None]) -> None:
    give_up = time.monotonic() + DEADLINE_S
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said) as process,
    ):
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_S)
                tell("")
                if time.monotonic() > give_up:
                    raise Unavailable(f"{Path(command[0]).name} did not end within {DEADLINE_S:.0f} s.")
        finally:
            process.kill()
        if process.returncode != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise Invalid(f"{Path(command[0]).name} cannot read these packages: {lines[-1][:300]}")
