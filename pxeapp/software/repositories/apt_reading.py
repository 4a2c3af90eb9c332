"""Somebody else's apt repository, read: its Release verified and judged, its indices compared, their packages."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from pxeapp.errors import Invalid
from pxeapp.software.apt_sources import stanzas
from pxeapp.software.content.manifest import check_path
from pxeapp.software.packages import Package
from pxeapp.software.repositories import apt, openpgp, unpacking

SKEW = dt.timedelta(hours=24)  # how far ahead of our clock an archive may be
MAX_RELEASE = 16 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*")
_VERSION = re.compile(r"[0-9A-Za-z][A-Za-z0-9.+:~-]*")


@dataclass(frozen=True, slots=True)
class Release:
    """A Release file that was verified; `sums` are SHA-256 and size by path below the suite's folder."""

    name: str  # what it is called in sentences: where it comes from
    date: dt.datetime
    valid_until: dt.datetime | None
    fields: Mapping[str, str]
    sums: Mapping[str, tuple[str, int]] = field(repr=False)

    @property
    def components(self) -> tuple[str, ...]:
        """Its components."""
        return tuple(self.fields.get("Components", "").split())

    @property
    def architectures(self) -> tuple[str, ...]:
        """Its architectures."""
        return tuple(self.fields.get("Architectures", "").split())

    @property
    def by_hash(self) -> bool:
        """Whether an index can be asked for by its hash, so that it is never one of another generation."""
        return self.fields.get("Acquire-By-Hash", "").strip().lower() == "yes"

    def index(self, folder: str) -> str:
        """The path of a Packages file below the suite, the smallest that we can read; "" where there is none."""
        return next((path for end in unpacking.PREFERRED if (path := f"{folder}/Packages{end}") in self.sums), "")

    def check(self, path: str, content: bytes) -> None:
        """Raises Invalid unless the content is what the signed Release says of this path."""
        expected = self.sums.get(path)
        if expected is None:
            raise Invalid(f"The Release file of {self.name} names no {path}.")
        found = (hashlib.sha256(content).hexdigest(), len(content))
        if found != expected:
            raise Invalid(
                f"{path} of {self.name} has SHA-256 {found[0]} and {found[1]} bytes, and its signed Release file says "
                f"{expected[0]} and {expected[1]} bytes.",
                hint="The mirror is in the middle of an update, or lies; try again, and then another mirror.",
            )


def release(
    signed: bytes,
    keyring: bytes,
    *,
    name: str,
    now: dt.datetime,
    signature: bytes | None = None,
    expired: bool = False,
) -> Release:
    """An InRelease file, or a Release with its `signature`; raises Invalid unless it is signed, and of this time.

    `expired` takes one whose Valid-Until is over: an archive that is kept as it was.
    """
    if len(signed) > MAX_RELEASE:
        raise Invalid(f"The Release file of {name} is larger than any.", hint="Is this the right address?")
    if signature is None:
        text = openpgp.verified_clear(signed, keyring, name=f"The InRelease file of {name}")
    else:
        openpgp.verify_detached(signed, signature, keyring, name=f"The Release file of {name}")
        text = signed
    return _read(text, name, now, expired=expired)


def unsigned(content: bytes, *, name: str, now: dt.datetime, expired: bool = False) -> Release:
    """A Release or InRelease file that nobody vouches for, where an operator says so; no signature is looked at."""
    if len(content) > MAX_RELEASE:
        raise Invalid(f"The Release file of {name} is larger than any.", hint="Is this the right address?")
    text = content.replace(b"\r\n", b"\n")
    if text.startswith(openpgp.SIGNED_MESSAGE):
        text = text.partition(b"\n\n")[2].partition(b"\n-----BEGIN PGP SIGNATURE-----")[0]
    return _read(text, name, now, expired=expired)


def _read(text: bytes, name: str, now: dt.datetime, *, expired: bool) -> Release:
    fields = next(stanzas(text.decode("utf-8", "replace")), {})
    found = Release(
        name, _moment(fields, "Date", name), _moment(fields, "Valid-Until", name) if "Valid-Until" in fields else None,
        fields, dict(_sums(fields.get("SHA256", ""), name)),
    )  # fmt: skip
    _judge(found, now, expired=expired)
    return found


def packages(content: bytes, *, path: str, name: str) -> Iterator[Package]:
    """The packages of a Packages file, unpacked as its path's ending says; raises Invalid for what is none."""
    text = unpacking.unpacked(content, path, name=f"{path} of {name}").decode("utf-8", "replace")
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            yield _package(paragraph.strip("\n"), f"{path} of {name}")


def _package(paragraph: str, where: str) -> Package:
    stanza, said = apt.parted(paragraph)
    name, version = said.get("package", ""), said.get("version", "")
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise Invalid(f"{where} has a package without a usable name and version: {name[:100]!r} {version[:100]!r}.")
    sha256, size = said.get("sha256", ""), said.get("size", "")
    if not _SHA256.fullmatch(sha256):
        raise Invalid(
            f"{where} has no SHA-256 for {name} {version}, so that it could not be verified.",
            hint="Archives of before 2008 know MD5 alone; upload such packages to a local repository.",
        )
    if not (size.isascii() and size.isdigit()):
        raise Invalid(f"{where} has no size for {name} {version}.")
    path = said.get("filename", "").removeprefix("./")
    check_path(path)
    source = said.get("source", "").partition(" ")[0] or name
    summary = said.get("description", "")
    return Package("deb", name, version, said.get("architecture", ""), path, sha256, int(size), source, summary, stanza)


def _moment(fields: Mapping[str, str], field_name: str, name: str) -> dt.datetime:
    try:
        found = parsedate_to_datetime(fields.get(field_name, ""))
    except ValueError:
        raise Invalid(
            f"The Release file of {name} has no usable {field_name}: {fields.get(field_name, '')[:100]!r}."
        ) from None
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def _judge(release: Release, now: dt.datetime, *, expired: bool) -> None:
    if release.date > now + SKEW:
        raise Invalid(
            f"The Release file of {release.name} is dated {_shown(release.date)}, and it is {_shown(now)} here.",
            hint="Set this machine's clock: chronyc makestep, or timedatectl set-time.",
        )
    if release.valid_until is not None and release.valid_until < now and not expired:
        raise Invalid(
            f"The Release file of {release.name} of {_shown(release.date)} was valid until "
            f"{_shown(release.valid_until)}, and it is {_shown(now)}: its mirror is no longer updated, or somebody "
            "holds updates back.",
            hint="Use another mirror; for an archive that is kept as it was, allow an expired Release file.",
        )


def _sums(text: str, name: str) -> Iterator[tuple[str, tuple[str, int]]]:
    for line in text.splitlines():
        if not (words := line.split()):
            continue
        if len(words) != 3 or not _SHA256.fullmatch(words[0]) or not (words[1].isascii() and words[1].isdigit()):
            raise Invalid(f"The Release file of {name} has a line that is no sum: {line[:100]!r}.")
        yield words[2], (words[0], int(words[1]))
    if not text.strip():
        raise Invalid(f"The Release file of {name} has no SHA-256 sums.", hint="Is this an archive of before 2008?")


def _shown(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
