"""Trees of snapshots and channels: what lies on the disk follows the rows, whenever the process was killed.

A snapshot's tree is made once per repository. A channel's is exchanged, repository by repository: a client asks for
one repository and sees the old one or the new one, whole. Files of the one before stay beside the new ones, so that a
client that has read the old index finds what that names; an index names its packages by hash, so it never takes
another file for one of them. What a channel serves says when it came there (see resigning.py), so that clients follow
it back, too.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import NotFound
from pxeapp.software.content import tree
from pxeapp.software.content.manifest import Manifest
from pxeapp.software.repositories import signing
from pxeapp.software.repositories.signing import Signer
from pxeapp.software.snapshots import channels, resigning, service
from pxeapp.software.snapshots.models import Channel, Snapshot, SnapshotRepository
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.running import Run
from pxeapp.software.tasks.service import FAILED
from pxeapp.vault import open_vault

AGAIN = dt.timedelta(hours=1)
OURS = "system:software"
SNAPSHOTS, CHANNELS = "snapshots", "channels"


def folder(settings: Settings, below: str, name: str) -> Path:
    """Where a snapshot's or a channel's repositories are served from."""
    return settings.data_dir / "repo" / below / name


def publish_snapshot(run: Run) -> dict[str, Any]:
    """The task: a tree for each repository of a snapshot; what is there already is whole, and stays."""
    with run.database.read() as session:
        row = service.get(session, run.subject)
        identity, digest, foreign = row.id, row.digest, bool(row.origin)
        parts = {each.name: (each.manifest, each.served) for each in row.repositories}
    target = folder(run.settings, SNAPSHOTS, run.subject)
    for number, (name, (sha256, served)) in enumerate(sorted(parts.items())):
        run.progress(number, len(parts))
        if (target / name).is_dir():
            continue
        with run.busy(f"Publishing {name}"):
            manifest = Manifest.load(run.store, served or sha256)
            if foreign and not served and resigning.is_signed(manifest):
                manifest = resigning.resigned(run.store, manifest, _signer(run))
                _remember_served(run, identity, name, manifest.save(run.store))
            tree.publish(run.store, manifest, target / name)
    with run.database.write() as session:
        kept = session.execute(
            update(Snapshot)
            .where(Snapshot.id == identity, Snapshot.digest == digest, Snapshot.deleted_at.is_(None))
            .values(published_at=run.now())
        )
        there = kept.rowcount == 1  # type: ignore[attr-defined]
    if not there:
        tree.withdraw(target)
        raise NotFound(f"Snapshot {run.subject} was deleted meanwhile.")
    return {"digest": digest, "repositories": len(parts)}


def _signer(run: Run) -> Signer:
    """Signs with our key, which lies where machines fetch it."""
    made = signing.signer(run.database, open_vault(run.settings.data_dir), actor=run.actor, now=run.now())
    signing.keep_served(run.settings, run.database)
    return made


def _remember_served(run: Run, snapshot: int, name: str, sha256: str) -> None:
    with run.database.write() as session:
        session.execute(
            update(SnapshotRepository)
            .where(SnapshotRepository.snapshot_id == snapshot, SnapshotRepository.name == name)
            .values(served=sha256)
        )


def sign_anew(run: Run) -> int:
    """After keys were changed: what is served of every snapshot and channel signed by those of now; returns how many.

    Machines are given the keys in use and no others. A snapshot stays what it is: its digest is over what was kept.
    """
    with run.database.read() as session:
        rows = session.scalars(select(Snapshot).where(Snapshot.deleted_at.is_(None)).order_by(Snapshot.name)).all()
        parts = [(row.id, row.name, each.name, each.manifest) for row in rows for each in row.repositories]
        leading = [row.name for row in channels.listing(session) if row.published]
    signer = _signer(run)
    signed = 0
    for number, (identity, snapshot, name, sha256) in enumerate(parts):
        run.progress(number, len(parts))
        manifest = Manifest.load(run.store, sha256)
        if resigning.is_signed(manifest):
            with run.busy(f"Signing {name} of {snapshot}"):
                manifest = resigning.resigned(run.store, manifest, signer)
                _remember_served(run, identity, name, manifest.save(run.store))
                tree.publish(run.store, manifest, folder(run.settings, SNAPSHOTS, snapshot) / name)
            signed += 1
    for name in leading:
        with run.database.read() as session:
            published = service.get(session, channels.get(session, name).published or "")
            held = {each.name: each.manifest for each in published.repositories}
        _exchange(run, name, held, {})
    return signed


def withdraw_snapshot(run: Run) -> dict[str, Any]:
    """The task: serve a deleted snapshot no more."""
    with run.database.read() as session:
        if session.scalar(select(Snapshot.id).where(Snapshot.name == run.subject, Snapshot.deleted_at.is_(None))):
            return {"kept": "It was taken again."}
    tree.withdraw(folder(run.settings, SNAPSHOTS, run.subject))
    return {}


def publish_channel(run: Run) -> dict[str, Any]:
    """The task: have a channel's trees be those of the snapshot that its row names, however often that changes."""
    while True:
        with run.database.read() as session:
            if not _there(session, run.subject):
                tree.withdraw(folder(run.settings, CHANNELS, run.subject))  # what this may have begun to exchange
            row = channels.get(session, run.subject)
            wanted, before = row.snapshot, row.published
            if wanted is None:
                return {"snapshot": None}
            snapshot = service.get(session, wanted)
            digest, parts = snapshot.digest, {each.name: each.manifest for each in snapshot.repositories}
            old = session.scalar(select(Snapshot).where(Snapshot.name == before, Snapshot.deleted_at.is_(None)))
            was = {each.name: each.manifest for each in old.repositories} if old is not None else {}
        _exchange(run, run.subject, parts, was)
        with run.database.write() as session:
            done = session.execute(
                update(Channel).where(Channel.name == run.subject, Channel.snapshot == wanted).values(published=wanted)
            )
            settled = done.rowcount == 1  # type: ignore[attr-defined]
        if settled:
            return {"snapshot": wanted, "digest": digest, "repositories": len(parts)}


def withdraw_channel(run: Run) -> dict[str, Any]:
    """The task: serve a channel no more that was deleted."""
    with run.database.read() as session:
        if _there(session, run.subject):
            return {"kept": "It was made again."}
    tree.withdraw(folder(run.settings, CHANNELS, run.subject))
    return {}


def _there(session: Session, channel: str) -> bool:
    return session.scalar(select(Channel.id).where(Channel.name == channel)) is not None


def _exchange(run: Run, channel: str, parts: dict[str, str], was: dict[str, str]) -> None:
    target = folder(run.settings, CHANNELS, channel)
    for number, (name, sha256) in enumerate(sorted(parts.items())):
        run.progress(number, len(parts))
        kept = was.get(name, "")
        if kept == sha256 and (target / name).is_dir():
            continue
        with run.busy(f"Exchanging {name}"):
            keep = [Manifest.load(run.store, kept)] if kept else []
            manifest = Manifest.load(run.store, sha256)
            if resigning.is_signed(manifest):
                manifest = resigning.resigned(run.store, manifest, _signer(run), dated=run.now())
            tree.publish(run.store, manifest, target / name, keep=keep)
    gone = [path for path in target.iterdir() if path.is_dir() and path.name not in parts and path.name[0] != "."]
    for path in gone:
        tree.withdraw(path)


def look(settings: Settings, database: Database, now: dt.datetime) -> None:
    """Every half minute: order whatever is not on the disk as the rows say, after a crash or a restored backup."""
    with database.read() as session:
        rows = session.execute(select(Snapshot.name, Snapshot.published_at, Snapshot.deleted_at)).all()
        leading = session.execute(select(Channel.name, Channel.snapshot, Channel.published)).all()
    due: list[tuple[str, str]] = []
    for name, published_at, deleted_at in rows:
        there = folder(settings, SNAPSHOTS, name).is_dir()
        if deleted_at is None and (published_at is None or not there):
            due.append((service.PUBLISH, name))
        elif deleted_at is not None and there:
            due.append((service.WITHDRAW, name))
    for name, wanted, published in leading:
        if wanted is not None and (wanted != published or not folder(settings, CHANNELS, name).is_dir()):
            due.append((channels.PUBLISH, name))
    known = {name for name, _, _ in leading}
    due += [(channels.WITHDRAW, name) for name in _served(settings, CHANNELS) if name not in known]
    for kind, name in due:
        with database.write() as session:
            if not _just_failed(session, kind, name, now):
                service.order(session, kind, name, actor=OURS, now=now)


def _served(settings: Settings, below: str) -> list[str]:
    """What has a folder there; what begins with a dot is being made or taken away."""
    root = settings.data_dir / "repo" / below
    return [each.name for each in root.iterdir() if each.is_dir() and each.name[0] != "."] if root.is_dir() else []


def _just_failed(session: Session, kind: str, name: str, now: dt.datetime) -> bool:
    """A full disk does not become empty by asking every half minute, and each task leaves a row."""
    found = select(SoftwareTask.id).where(
        SoftwareTask.kind == kind,
        SoftwareTask.subject == name,
        SoftwareTask.outcome == FAILED,
        SoftwareTask.finished_at > now - AGAIN,
    )
    return session.scalar(found.limit(1)) is not None
