"""What a backup says of itself: when, by which version, which schema, and the hash of everything in it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError

from pxeapp.config import Settings
from pxeapp.errors import PxeError
from pxeapp.vault import Vault

FORMAT = 1
NAME = "manifest.json"
DATABASES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}  # backend -> its member
KEY = "secret.key"
FOLDERS_OF_MEDIA = ("media", "udebs", "repo", "software")


class BadBackup(PxeError):
    """The file is not a whole backup, or not one that can be used here; nothing was touched."""

    title = "Bad backup"


@dataclass(frozen=True, slots=True)
class Member:
    """One file in the archive."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """The last member of the archive."""

    made_at: dt.datetime
    version: str
    schema: str
    database: str  # sqlite, postgresql
    key_check: str  # tells whether a key is the one, and nothing else of it
    settings: dict[str, str]
    releases: list[dict[str, str]]
    counts: dict[str, int]
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def has_key(self) -> bool:
        """Whether the archive alone opens the secrets in its database."""
        return KEY in self.members

    @property
    def has_media(self) -> bool:
        """Whether media, installer components and repositories are in it."""
        return any(name.partition("/")[0] in FOLDERS_OF_MEDIA for name in self.members)

    @property
    def database_member(self) -> str:
        """The name of the database's member."""
        return DATABASES[self.database]

    def to_json(self) -> bytes:
        """As it is written into the archive."""
        return json.dumps({"format": FORMAT, **self.to_dict()}, indent=1).encode()

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**dataclasses.asdict(self), "made_at": self.made_at.isoformat()}


def read(content: bytes) -> Manifest:
    """The manifest back from its bytes; raises BadBackup."""
    try:
        said = json.loads(content)
        found = said.pop("format")
        if found != FORMAT:
            raise BadBackup(
                f"The backup has format {found}, this version of pxeapp reads format {FORMAT}.",
                hint="Restore it with the version that made it, or a newer one.",
            )
        members = {name: Member(**member) for name, member in said.pop("members").items()}
        made_at = dt.datetime.fromisoformat(said.pop("made_at"))
        if said.get("database") not in DATABASES or DATABASES[said["database"]] not in members:
            raise BadBackup("The backup's manifest names no database.")
        return Manifest(made_at=made_at, members=members, **said)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadBackup("The backup's manifest cannot be read.") from None


def key_check(vault: Vault) -> str:
    """The same for the same key; from it, nothing follows for the key."""
    return hashlib.sha256(vault.derive("backup")).hexdigest()


def settings_of(settings: Settings) -> dict[str, str]:
    """The settings in effect, without a password: for whoever sets up the host that this is restored on."""
    found = {}
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        if isinstance(value, tuple):
            text = ",".join(map(str, value))
        elif isinstance(value, dict):
            text = ",".join(f"{name}={_masked(url)}" for name, url in value.items())
        else:
            text = "" if value is None else str(value)
        found[each.name] = _masked(text) if each.name.endswith("_url") else text
    return found


def _masked(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url
