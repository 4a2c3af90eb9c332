"""A bundle's index: what is in it, which blobs that takes, and which piece of which lies in which part.

It stands first in every part and is what is signed: each part can be told and verified by itself. Made of JSON that is
the same for the same content.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pxeapp.errors import Invalid

FORMAT = 1
LARGEST = 128 * 1024 * 1024  # of the index: some 500,000 files
MOST_PARTS = 999
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
Size = Annotated[int, Field(ge=0, le=2**53)]
Text = Annotated[str, Field(max_length=4000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RepositoryEntry(_Part):
    """A repository of a snapshot; see snapshots/models.py."""

    name: Name
    kind: Literal["deb", "rpm"]
    description: Text
    suite: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{0,63}$")]
    components: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,63}$")]]
    architectures: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]]
    manifest: Sha256
    packages: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    package_count: Size
    bytes: Size


class SnapshotEntry(_Part):
    """A snapshot."""

    name: Name
    digest: Sha256
    description: Text
    taken_at: Annotated[str, Field(max_length=40)]
    repositories: Annotated[list[RepositoryEntry], Field(min_length=1, max_length=1000)]


class ReleaseEntry(_Part):
    """A release: what an operator said of it, and its files by the name below its revision."""

    name: Name
    said: dict[str, Any]  # the fields of releases.Description
    kernel: Text
    initrd: Text
    files: dict[str, Sha256]


class Since(_Part):
    """The snapshot that the other side has already: what it holds is left out."""

    name: Name
    digest: Sha256


class Piece(_Part):
    """Bytes of a blob; `piece` is their own hash where they are not all of it."""

    sha256: Sha256
    offset: Size
    length: Size
    piece: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @property
    def member(self) -> str:
        """What it is called in the archive."""
        return f"blobs/{self.sha256}.{self.offset}" if self.piece else f"blobs/{self.sha256}"

    @property
    def digest(self) -> str:
        """Of these bytes."""
        return self.piece or self.sha256


class Index(_Part):
    """The whole."""

    format: Literal[1]
    name: Name
    made_at: Annotated[str, Field(max_length=40)]
    made_on: Text
    part_size: Size = 0  # as it was asked for; 0: all in one part
    since: Since | None = None
    releases: list[ReleaseEntry] = []
    snapshots: list[SnapshotEntry] = []
    boot_programs: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,63}$")], Sha256] = {}
    templates: dict[Annotated[str, Field(max_length=200)], Sha256] = {}
    blobs: dict[Sha256, Size]
    assumed: dict[Sha256, Size] = {}  # what the snapshot of `since` holds
    parts: Annotated[list[list[Piece]], Field(min_length=1, max_length=MOST_PARTS)]

    @model_validator(mode="after")
    def _whole(self) -> Index:
        """Each blob is in the parts once, from its first byte to its last, in order."""
        reached: dict[str, int] = {}
        for piece in (piece for part in self.parts for piece in part):
            size = self.blobs.get(piece.sha256)
            if size is None or piece.offset != reached.get(piece.sha256, 0) or piece.offset + piece.length > size:
                raise ValueError(f"a piece of {piece.sha256} has no place")
            if (piece.length == size) == bool(piece.piece) or (piece.length == 0 and size > 0):
                raise ValueError(f"a piece of {piece.sha256} is not what it says")
            if piece.sha256 in reached and reached[piece.sha256] == size:
                raise ValueError(f"{piece.sha256} is there twice")
            reached[piece.sha256] = piece.offset + piece.length
        if reached != self.blobs:
            raise ValueError("not every blob is in the parts")
        return self

    @property
    def bytes(self) -> int:
        """Of all blobs that are in it."""
        return sum(self.blobs.values())

    def summary(self) -> dict[str, Any]:
        """What it holds, by name."""
        return {
            "releases": [each.name for each in self.releases],
            "snapshots": [each.name for each in self.snapshots],
            "boot_programs": sorted(self.boot_programs),
            "templates": sorted(self.templates),
        }


def encode(index: Index) -> bytes:
    """The bytes that are signed."""
    said = index.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def decode(data: bytes, *, what: str) -> Index:
    """The index of a bundle; raises Invalid for one that we do not make, a later format among them."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise Invalid(f"{what} has an index that cannot be read.", hint="It was not made by pxeapp.") from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        version = said.get("format") if isinstance(said, dict) else None
        raise Invalid(
            f"{what} is of format {str(version)[:20]}, and this appliance reads {FORMAT}.",
            hint="Make the bundle with the version of pxeapp that runs here, or upgrade this appliance.",
        )
    try:
        return Index.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Invalid(f"{what} has an index that is not right: {where} {first['msg']}.") from None


def identity(data: bytes) -> str:
    """What two bundles share only when they are the same."""
    return hashlib.sha256(data).hexdigest()


def part_name(name: str, number: int, count: int) -> str:
    """`openstack.001-of-007`."""
    return f"{name}.{number:03d}-of-{count:03d}"
