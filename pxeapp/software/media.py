"""A release's files on disk: where they lie, that they are whole, and that nothing else is ever handed out.

`media_dir/NAME/REVISION/FILE`, and the row's `kernel` is `REVISION/FILE`: a replaced release gets a new folder, so
the row switches from one whole set of files to the next in one commit, and whoever is still downloading goes on.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Text, bindparam, cast, select

from pxeapp.config import Settings
from pxeapp.errors import NotFound
from pxeapp.prepared import Prepared, Runner
from pxeapp.software.models import Release

# The same as boot scripts accept: no part starts with a dot, nothing that could mean something in a script.
FILE_PATH = re.compile(r"[A-Za-z0-9_+~-][A-Za-z0-9._+~-]*(/[A-Za-z0-9_+~-][A-Za-z0-9._+~-]*)*")
_UNFIT = re.compile(r"[^A-Za-z0-9._+~-]")
CHUNK = 1024 * 1024
_READY = Prepared(
    select(Release.kernel, Release.initrd, cast(Release.settings, Text)).where(
        Release.name == bindparam("release_name"), Release.ready.is_(True)
    )
)


def declared(release: Release) -> dict[str, str]:
    """The files that a release consists of, with their SHA-256: kernel, initrd, and what `settings["files"]` adds."""
    files = {release.kernel: release.kernel_sha256, release.initrd: release.initrd_sha256}
    files.update(release.settings.get("files", {}))
    return {file: digest for file, digest in files.items() if file}


def refuse_unknown(run: Runner, release_name: str, file: str) -> None:
    """Raises NotFound for what no ready release declares. Whether it lies where it should is the server's to see."""
    row = run.first(_READY, release_name=release_name)
    if row is None or file not in _names(*row):
        raise NotFound(f"There is no file {file!r} of a release {release_name!r} that may be booted.")


def locate(run: Runner, settings: Settings, release_name: str, file: str) -> Path:
    """The path of a file that a ready release declares, for `/media/RELEASE/FILE`; NotFound for everything else."""
    refuse_unknown(run, release_name, file)
    path = _inside(settings, release_name, file)
    if path is None:
        raise NotFound(
            f"The file {file!r} of release {release_name} is missing on disk.",
            hint=f"Run: pxeapp release verify {release_name}",
        )
    return path


@lru_cache(maxsize=256)
def _names(kernel: str, initrd: str, settings: str) -> frozenset[str]:
    """The names of `declared`, from a row's own text; what was read once stays read while that is the same."""
    return frozenset(name for name in (kernel, initrd, *json.loads(settings).get("files", {})) if name)


def problem(settings: Settings, release: Release) -> str:
    """What is wrong with a release's files, as a sentence, or an empty string; reads and hashes every file."""
    for file, expected in declared(release).items():
        path = _inside(settings, release.name, file)
        if path is None:
            return f"The file {file} is missing; add the release again."
        if digest(path) != expected:
            return f"The file {file} has changed since it was verified; add the release again."
    return "" if release.kernel else "No kernel has been added."


def plain(said: str) -> str:
    """A file's name such that it can stand in a URL and a script, but for what it begins with."""
    return _UNFIT.sub("-", said)


def digest(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    result = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            result.update(chunk)
    return result.hexdigest()


def _inside(settings: Settings, release_name: str, file: str) -> Path | None:
    """The file's real path when it is a regular file below its release's folder, links followed."""
    if not FILE_PATH.fullmatch(f"{release_name}/{file}"):
        return None
    folder = (settings.media_dir / release_name).resolve()
    path = (folder / file).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None
