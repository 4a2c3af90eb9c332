"""Ordering an import: what an operator says is looked at when they say it, the work is a task."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.config import Settings
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software import fetch, media, releases
from pxeapp.software.content.store import SHA256, Store
from pxeapp.software.isos import service
from pxeapp.software.repositories.models import RESERVED
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask

KIND = "media.import"
INCOMING = "incoming"  # below the data directory: what an administrator has put there by other means


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator says of an import: one of `upload`, `path` and `url`, the rest is optional.

    `upload` is the SHA-256 of a file that was uploaded, `path` lies below incoming/ in the data directory, and a `url`
    needs its `sha256`. Empty names are those that the medium proposes.
    """

    upload: str = ""
    filename: str = ""  # how the uploaded file was called
    path: str = ""
    url: str = ""
    sha256: str = ""
    name: str = ""
    release: str = ""
    make_release: bool = True
    replace: bool = False
    install_url: str = ""
    kernel_args: str = ""
    hwe: bool = False

    @classmethod
    def of(cls, options: dict[str, Any]) -> Wanted:
        """As it stands in a task."""
        return cls(**options)

    @property
    def source(self) -> str:
        """Where the image comes from, for people."""
        return self.url or self.path or self.filename or f"upload {self.upload[:12]}"

    @property
    def plain(self) -> str:
        """The image's file name, such that it can stand in a URL and a boot script; it ends in .iso."""
        last = self.source.rstrip("/").partition("?")[0].rpartition("/")[2]
        name = media.plain(last)[-200:].lstrip(".-") or "image"
        return name if name.endswith(".iso") else f"{name}.iso"


def order(session: Session, settings: Settings, wanted: Wanted, *, actor: str, now: dt.datetime) -> SoftwareTask:
    """Write the order down; raises Invalid with everything that is wrong with it, Conflict for a name that is taken."""
    problems = list(_problems(wanted, settings))
    if problems:
        raise Invalid("The medium was not imported.", problems=problems)
    if wanted.name and not wanted.replace:
        service.refuse_taken(session, wanted.name)
    return tasks.order(session, KIND, (wanted.name or wanted.plain)[:120], asdict(wanted), actor=actor, now=now)


def incoming(settings: Settings, path: str) -> Path | None:
    """A file below incoming/, links followed; None for everything else."""
    root = (settings.data_dir / INCOMING).resolve()
    found = (root / path).resolve()
    return found if found.is_relative_to(root) and found.is_file() else None


def _problems(wanted: Wanted, settings: Settings) -> Iterator[FieldProblem]:
    given = [field for field in ("upload", "path", "url") if getattr(wanted, field)]
    if len(given) != 1:
        yield FieldProblem(
            given[1] if given else "upload", "exactly one of upload, path and url says where the ISO is.",
            "Upload the ISO, put it below incoming/ in the data directory, or give its address.",
        )  # fmt: skip
    if wanted.sha256 and not SHA256.fullmatch(wanted.sha256):
        yield FieldProblem("sha256", "is not a SHA-256.", "Give its 64 hexadecimal digits in lower case.")
    yield from _source_problems(wanted, settings)
    for field in ("name", "release"):
        value = getattr(wanted, field)
        if value and (not releases.NAME.fullmatch(value) or value in RESERVED):
            yield FieldProblem(field, f"{value[:63]!r} cannot be one.", "Lower case, digits, dots, dashes: rocky-9.4")
    if wanted.release and not wanted.make_release:
        yield FieldProblem("release", "is named, and none is to be made.", "Leave one of the two out.")
    if wanted.install_url and not releases.is_our_url(wanted.install_url):
        yield FieldProblem(
            "install_url", f"{wanted.install_url!r} is not usable.", "Write {node_url}/... or http://..."
        )
    if not wanted.filename.isprintable():
        yield FieldProblem("filename", "holds a control character.", "Take it out.")
    if not re.fullmatch(r"[\x20-\x7e]*", wanted.kernel_args):
        yield FieldProblem("kernel_args", "holds a line break, control or non-ASCII character.", "Take it out.")


def _source_problems(wanted: Wanted, settings: Settings) -> Iterator[FieldProblem]:
    if wanted.upload and not SHA256.fullmatch(wanted.upload):
        yield FieldProblem("upload", "is not a SHA-256.", "Give what the upload was answered with.")
    elif wanted.upload and not Store(settings.data_dir / "software").has(wanted.upload):
        yield FieldProblem("upload", "no file of this SHA-256 was uploaded, or too long ago.", "Upload the ISO again.")
    elif wanted.upload and wanted.sha256 not in ("", wanted.upload):
        yield FieldProblem("sha256", f"the upload has {wanted.upload}.", "Compare with the publisher's SHA256SUMS.")
    if wanted.path and incoming(settings, wanted.path) is None:
        where = settings.data_dir / INCOMING
        yield FieldProblem(
            "path", f"{wanted.path[:200]!r} is no file below {where}.", "Copy the ISO there, or upload it."
        )
    if wanted.url:
        try:
            fetch.check_url(wanted.url)
        except Invalid as error:
            yield from error.problems
        if not wanted.sha256:
            fix = "Take it from the publisher's signed SHA256SUMS or CHECKSUM file."
            yield FieldProblem("sha256", "is needed for what is downloaded.", fix)
