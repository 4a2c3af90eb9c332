"""Ordering, listing and removing bundles; what they hold is looked at before, so that a refusal comes at once."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.config import Settings
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.software import releases
from pxeapp.software.bundles import importing, making
from pxeapp.software.bundles.models import MADE, Bundle
from pxeapp.software.content.store import Store
from pxeapp.software.snapshots import service as snapshots
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.snapshots.service import Holder
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask

CREATE, IMPORT, VERIFY = "bundle.create", "bundle.import", "bundle.verify"


def create(
    session: Session,
    settings: Settings,
    name: str,
    said: dict[str, Any],
    *,
    replace: bool,
    actor: str,
    now: dt.datetime,
) -> SoftwareTask:
    """Order a bundle of `releases`, `snapshots`, `boot_programs`, `templates`; `since`, `part_size` in bytes."""
    snapshots.check_name(name, what="bundle")
    for each in said.get("releases", ()):
        releases.bootable(session, each)
    for each in filter(None, (*said.get("snapshots", ()), said.get("since", ""))):
        snapshots.get(session, each)
    size = said.get("part_size", 0)
    if size and size < making.SMALLEST_PART:
        problem = FieldProblem("part_size", f"{size} bytes are too few.", "Write 4400M, or at least 1M.")
        raise Invalid("The bundle cannot be made.", problems=[problem])
    if not any(said.get(what) for what in ("releases", "snapshots", "boot_programs", "templates")):
        problem = FieldProblem("releases", "names none, and nothing else either.", "Name releases or snapshots.")
        raise Invalid("The bundle cannot be made.", problems=[problem])
    if making.folder(settings.data_dir, name).exists() and not replace:
        raise Conflict(f"There is a bundle {name} already.", hint="Replace it on purpose (--replace), or another name.")
    return tasks.order(session, CREATE, name, said, actor=actor, now=now)


def take(
    session: Session, settings: Settings, said: dict[str, Any], *, kind: str, actor: str, now: dt.datetime
) -> SoftwareTask:
    """Order the import, or the verification, of parts: `uploads` by hash, or `paths` below data_dir/incoming.

    `names` are what the uploads are called, one for each.
    """
    store = Store(settings.data_dir / "software")
    for sha256 in said.get("uploads", ()):
        if not store.has(sha256):
            raise NotFound(
                f"There is no upload {sha256}.", hint="What is not used within a day is removed; send it again."
            )
    paths = importing.within(settings.data_dir, said.get("paths", ()))
    if missing := [path for path in paths if not path.is_file()]:
        raise NotFound(f"There is no file {missing[0]}.", hint=f"Lay the parts below {settings.data_dir}/incoming.")
    if not paths and not said.get("uploads"):
        problem = FieldProblem("uploads", "names no part.", "Send the parts, or lay them on the appliance.")
        raise Invalid("Nothing was ordered.", problems=[problem])
    subject = paths[0].name if paths else (said.get("names") or said["uploads"])[0]
    return tasks.order(session, kind, subject[:120], said, actor=actor, now=now)


def holders(session: Session) -> Iterator[tuple[Holder, set[str]]]:
    """Snapshots that a bundle which is being made takes."""
    making_now = select(SoftwareTask.subject, SoftwareTask.options).where(
        SoftwareTask.kind == CREATE, SoftwareTask.finished_at.is_(None)
    )
    for name, options in session.execute(making_now):
        for each in filter(None, (*options.get("snapshots", ()), options.get("since", ""))):
            yield Holder("bundle", name, Pin(each)), set()


def listing(session: Session, *, after: int = 0, limit: int) -> Sequence[Bundle]:
    """Made and imported ones, as they came."""
    return session.scalars(select(Bundle).where(Bundle.id > after).order_by(Bundle.id).limit(limit)).all()


def get(session: Session, name: str) -> Bundle:
    """One that was made here; raises NotFound."""
    row = session.scalar(select(Bundle).where(Bundle.name == name, Bundle.direction == MADE))
    if row is None:
        raise NotFound(f"There is no bundle {name[:80]!r}.", hint="See: pxeapp bundle list")
    return row


def files(settings: Settings, row: Bundle) -> list[Path]:
    """The parts of one that was made here, in order."""
    folder = making.folder(settings.data_dir, row.name)
    return sorted(folder.glob(f"{row.name}.*-of-*")) if row.direction == MADE else []


def delete(session: Session, settings: Settings, name: str, *, actor: str, now: dt.datetime) -> None:
    """Remove one that was made here, with its parts."""
    row = get(session, name)
    busy = select(SoftwareTask.id).where(
        SoftwareTask.kind == CREATE, SoftwareTask.subject == name, SoftwareTask.finished_at.is_(None)
    )
    if session.scalar(busy) is not None:
        raise Conflict(f"The bundle {name} is being made.", hint="Cancel that task first: pxeapp software cancel")
    session.delete(row)
    audit.record(session, at=now, actor=actor, action="bundle.delete", subject=f"bundle:{name}")
    shutil.rmtree(making.folder(settings.data_dir, name), ignore_errors=True)


def wire(settings: Settings, row: Bundle) -> dict[str, Any]:
    """A bundle as the API shows it."""
    return {
        "id": row.id,
        "name": row.name,
        "direction": row.direction,
        "identity": row.identity,
        "signed_by": row.signed_by,
        "part_count": row.parts,
        "bytes": row.bytes,
        "contents": row.contents,
        "since": row.since,
        "by": row.by,
        "at": row.at.isoformat(),
        "parts": [{"name": path.name, "bytes": path.stat().st_size} for path in files(settings, row)],
    }
