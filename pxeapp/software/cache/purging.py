"""Purging: what came wrong is thrown away, one file or a whole folder, so that the next request fetches it anew.

Packages lie in nginx's cache, each for itself. An index goes with its whole set, of which the next request fetches all
that is asked for: a set never has indexes of two states of an archive.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pxeapp import audit
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid, Unavailable
from pxeapp.software import upstreams
from pxeapp.software.cache import packages, service
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.indexes.shelf import Shelf

LONGEST = 500
_BY_HASH = "by-hash/"


@dataclass(frozen=True, slots=True)
class Part:
    """What is meant below an upstream: one file, or everything in a folder, whose path ends with a slash."""

    path: str  # "": everything

    @property
    def is_folder(self) -> bool:
        """Whether all that lies below is meant."""
        return not self.path or self.path.endswith("/")

    def means(self, path: str) -> bool:
        """Whether a file is part of it."""
        return path.startswith(self.path) if self.is_folder else path == self.path

    def means_index(self, path: str) -> bool:
        """The same for an index, which is asked for by its hash, too: then whatever lies beside it is meant."""
        folder, hashed, _ = self.path.partition(_BY_HASH)
        return path.startswith(folder) if hashed else self.means(path)


def read(said: str) -> Part:
    """From what an operator writes; raises Invalid for what is no path below an upstream."""
    path = said.strip().lstrip("/")
    plain = upstreams.clean(path.removesuffix("/"))
    if not said.strip() or (path and plain is None):
        fix = "Write pool/main/x/xz-utils/xz-utils_5.4_amd64.deb; a folder as dists/trixie/, and everything as /."
        problem = FieldProblem("path", f"{said[:80]!r} is no path below an upstream.", fix)
        raise Invalid("Nothing was purged.", problems=[problem])
    return Part(f"{plain}/" if path.endswith("/") else plain or "")


def purge(
    database: Database, settings: Settings, name: str, said: str, *, actor: str, now: dt.datetime
) -> dict[str, Any]:
    """Throw away what is here of a part of an upstream, and say how much that was; nothing, the second time.

    Raises Conflict while the upstream is offline here, since nobody would be asked for it anew.
    """
    with database.read() as session:
        known = service.get(session, settings, name)
    part = read(said)
    if known.offline:
        raise Conflict(
            f"{name} is offline here: what is purged could not be fetched anew.",
            hint=f"First: pxeapp cache online {name}",
        )
    try:
        sets, sizes = _thrown_away(settings.data_dir / "cache", known, part)
    except OSError as error:
        raise Unavailable(f"Not all of it could be thrown away: {error}.", hint="Whose is the cache?") from error
    found: dict[str, Any] = {"path": part.path or "/", "files": len(sizes), "bytes": sum(sizes), "sets": sets}
    if sizes or sets:
        with database.write() as session:
            audit.record(session, at=now, actor=actor, action="upstream.purge", subject=f"upstream:{name}", **found)
    return {"name": name, **found}


def _thrown_away(cache: Path, known: Configured, part: Part) -> tuple[list[str], list[int]]:
    """The roots of the index sets that went, and the size of each file."""
    sets, sizes = Shelf.purge(cache / "indexes" / known.name, part.means_index)
    if not part.path:
        sizes += packages.forget_all(cache / "packages", known)
    elif part.is_folder:
        sizes += packages.forget_below(cache / "packages", known, part.means)
    else:
        sizes += packages.forget(cache / "packages", known, part.path)
    return sets, sizes
