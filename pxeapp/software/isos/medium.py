"""What was recognised: a medium, before anything of it is read."""

from __future__ import annotations

from dataclasses import dataclass

DVD, BOOT, MINIMAL, NETINST, LIVE_SERVER, SERVER, CD = (
    "dvd", "boot", "minimal", "netinst", "live-server", "server", "cd",
)  # fmt: skip
COMPLETE = (DVD, LIVE_SERVER, SERVER)  # what installs a machine by itself: its kind need not stand in its name


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on a medium: `path` is below its root, empty for the root itself."""

    name: str
    path: str

    def at(self, file: str) -> str:
        """A file of it, as a path on the medium."""
        return f"{self.path}/{file}" if self.path else file


@dataclass(frozen=True, slots=True)
class Medium:
    """A medium of a layout that we know. Paths are below its root; an empty one is not on it."""

    layout: str  # a key of layouts.LAYOUTS
    family: str
    version: str
    kind: str
    title: str  # as people call it: Rocky Linux 9.4 DVD
    kernel: str = ""
    initrd: str = ""
    stage2: str = ""
    repositories: tuple[Repository, ...] = ()
    codename: str = ""

    @property
    def proposal(self) -> str:
        """A name for it: rocky-9.4, debian-12.11-netinst."""
        return f"{self.family}-{self.version}" + ("" if self.kind in COMPLETE else f"-{self.kind}")
