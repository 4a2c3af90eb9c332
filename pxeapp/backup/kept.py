"""What of the data directory a backup keeps, and why: everything that the product makes there has its line here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kept(Enum):
    """Whether it goes into a backup."""

    ALWAYS = "always"
    WITH_MEDIA = "with --with-media"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of the data directory; `file_mode` and `folder_mode` are what a restore gives it."""

    kept: Kept
    why: str
    file_mode: int = 0o600
    folder_mode: int = 0o700


SITE = (0o640, 0o750)
SERVED = (0o644, 0o755)  # by nginx, which may be another user

KEPT: dict[str, Entry] = {
    "secret.key": Entry(Kept.ALWAYS, "opens the secrets in the database; --without-key leaves it out"),
    "templates": Entry(Kept.ALWAYS, "the site's own", *SITE),
    "playbooks": Entry(Kept.ALWAYS, "the site's own", *SITE),
    "keyrings": Entry(Kept.ALWAYS, "publishers' keys that somebody has put there", *SITE),
    "media": Entry(Kept.WITH_MEDIA, "big; added again from where it came", *SERVED),
    "udebs": Entry(Kept.WITH_MEDIA, "big; made again when its release is added", *SERVED),
    "repo": Entry(Kept.WITH_MEDIA, "big; published again from the store", *SERVED),
    "software": Entry(Kept.WITH_MEDIA, "big; its packages come again from where they came", *SERVED),
    "boot-programs": Entry(Kept.WITH_MEDIA, "come with a bundle, and again when it is imported again", *SERVED),
    "consoles": Entry(Kept.WITH_MEDIA, "cannot be made again, but may be big, and goes by itself after some weeks"),
    "pxeapp.db": Entry(Kept.NEVER, "the backup has a copy of one moment under another name"),
    "queue.db": Entry(Kept.NEVER, "hints, which workers do without"),
    "run": Entry(Kept.NEVER, "a restart may throw it away"),
    "backups": Entry(Kept.NEVER, "backups"),
    "cache": Entry(Kept.NEVER, "fetched again when a machine asks for it"),
    "bundles": Entry(Kept.NEVER, "made again from the software in it"),
    "incoming": Entry(Kept.NEVER, "somebody's copies of what lies elsewhere, to be imported"),
    "rollouts": Entry(Kept.NEVER, "jobs of this host, which a restored appliance does not go on with"),
    "fake-bmc": Entry(Kept.NEVER, "simulated BMCs, which know by themselves whether they are on"),
}


def folders(*, media: bool) -> list[str]:
    """The folders that go into a backup, in the order in which they do."""
    wanted = (Kept.ALWAYS, Kept.WITH_MEDIA) if media else (Kept.ALWAYS,)
    return [name for name, entry in KEPT.items() if entry.kept in wanted and name != "secret.key"]
