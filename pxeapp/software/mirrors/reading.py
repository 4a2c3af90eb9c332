"""What the upstreams of a mirror have, read and verified: their packages as candidates, by architecture."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pxeapp.config import Settings
from pxeapp.software.content.store import Store
from pxeapp.software.mirrors import installer, line
from pxeapp.software.mirrors.deb_index import Deb
from pxeapp.software.mirrors.line import Changed, Line, Place, TooLarge
from pxeapp.software.mirrors.pool import Candidate, Pool
from pxeapp.software.mirrors.selection import Selection
from pxeapp.software.upstreams import Upstream

MAX_INDEX = 512 * 1024 * 1024  # compressed
MID_UPDATE = "The mirror is in the middle of an update, or lies; try again, and then another mirror."


@dataclass(slots=True)
class Upstreams:
    """How the readers get at files: where the sources are, and the store, in which an index that was fetched stays."""

    settings: Settings
    known: Mapping[str, Upstream]
    store: Store
    selection: Selection
    keyrings: Sequence[bytes | None]  # by source
    now: dt.datetime
    udeb_suite: str = ""  # of the release that the mirror is for, where its installer was made whole here
    says: Callable[[str], None] = lambda _: None
    tell: Callable[[], None] = lambda: None  # called again and again; may raise to end the work
    places: list[Place] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = [
            line.place(self.known, self.settings, each.upstream, each.path) for each in self.selection.sources
        ]
        self.lines = [Line(place) for place in self.places]

    def get(self, source: int, path: str, limit: int) -> bytes:
        """A small file of a source."""
        return line.small(self.lines[source], path, limit, pause=self._pause, tell=self.tell)

    def index(self, source: int, path: str, sha256: str, size: int, *, instead: str = "") -> bytes:
        """An index whose hash is known; asked for under the path `instead` where that always holds this very one."""
        if self.store.has(sha256):
            return self.store.read(sha256)
        self.says(f"Reading {path} of {self.places[source]}")
        try:
            return self.get(source, instead or path, min(size, MAX_INDEX))
        except TooLarge as error:
            raise Changed(
                f"{path} of {self.places[source]} is larger than the {size} bytes that its signed index says.",
                hint=MID_UPDATE,
            ) from error

    def keep(self, content: bytes) -> None:
        """An index that is what its Release says: the next look at this upstream need not fetch it."""
        self.store.add_bytes(content)

    def components(self) -> list[Deb]:
        """Those of the installer that we made ourselves."""
        return installer.made(self.settings, self.udeb_suite) if self.selection.installer else []

    def close(self) -> None:
        """Hang up."""
        for each in self.lines:
            each.close()

    def _pause(self, seconds: float) -> None:
        self.says("The mirror broke off; trying again")
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Reading:
    """What there is. `stamp` is another one as soon as anything in an index is; `dated` is the oldest source's date."""

    pools: tuple[Pool, ...]
    components: tuple[Candidate, ...] = ()  # an installer's own (udebs)
    sources: tuple[Candidate, ...] = ()  # rpm: what packages are built from
    stamp: str = ""
    dated: dt.datetime | None = None
    remarks: tuple[str, ...] = ()
    extra: Mapping[str, bytes] = field(default_factory=dict)  # rpm: advisories, modules and groups, to publish as well
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # rpm: packages of a group


def pools(kind: str, candidates: Iterable[tuple[str, Candidate]], architectures: Sequence[str]) -> tuple[Pool, ...]:
    """One pool for each architecture; what is for every architecture (all, noarch) is in each."""
    by: dict[str, list[Candidate]] = {architecture: [] for architecture in architectures}
    for architecture, candidate in candidates:
        for pool in by if architecture in ("all", "noarch") else [architecture]:
            if pool in by:
                by[pool].append(candidate)
    return tuple(Pool("deb" if kind == "deb" else "rpm", name, found) for name, found in by.items())
