"""Making a bundle: the plan first, then part after part, each under its name once it is whole and on the disk.

What an interrupted one has finished stays: the next one with the same content goes on behind it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.software.bundles import dividing, index, ustar
from pxeapp.software.bundles.collecting import Contents, collect
from pxeapp.software.bundles.dividing import Cut
from pxeapp.software.bundles.extras import Extras
from pxeapp.software.bundles.index import Index, Piece
from pxeapp.software.bundles.models import MADE, Bundle
from pxeapp.software.content import space
from pxeapp.software.repositories import signing
from pxeapp.software.repositories.signing import Signer
from pxeapp.software.tasks.running import Run
from pxeapp.vault import open_vault

INDEX, SIGNATURE, KEY, PART = "bundle.json", "bundle.json.asc", "bundle.key", "part"
SMALLEST_PART = 1024 * 1024
CHUNK = 1024 * 1024
FOLDER = "bundles"


@dataclass(frozen=True, slots=True)
class Head:
    """What every part begins with."""

    index: bytes
    signature: bytes
    key: bytes

    def members(self, number: int) -> list[tuple[str, bytes]]:
        """By name, in order."""
        return [(INDEX, self.index), (SIGNATURE, self.signature), (KEY, self.key), (PART, str(number).encode())]


def folder(data_dir: Path, name: str) -> Path:
    """Where the parts of a bundle that was made here lie."""
    return data_dir / FOLDER / name


def make(run: Run, extras: Extras) -> dict[str, Any]:
    """The task; its result says where the parts are."""
    name, room = run.subject, int(run.options.get("part_size", 0))
    target = folder(run.settings.data_dir, name)
    stage = target.with_name(f".making-{name}")
    with run.busy(f"Reading what goes into {name}"):
        contents = collect(run, extras)
    signer = signing.signer(run.database, open_vault(run.settings.data_dir), actor=run.actor, now=run.now())
    if run.begun > 1:
        _take_up(run, target, stage, contents, signer)
    stage.mkdir(parents=True, exist_ok=True)
    head, plan = _planned(run, stage, contents, signer, room)
    total = sum(contents.sizes.values())
    _need_room(stage, plan, len(head.index))
    done = 0
    for number, pieces in enumerate(plan.parts, start=1):
        path = stage / index.part_name(name, number, len(plan.parts))
        size = sum(piece.length for piece in pieces)
        if not path.is_file():
            _write_part(path, head.members(number), pieces, contents, partial(_tell, run, path.name, done, total))
        done += size
    parts = sorted(path.name for path in stage.glob(f"{name}.*-of-*"))
    size = sum((stage / each).stat().st_size for each in parts)
    shutil.rmtree(target, ignore_errors=True)
    stage.rename(target)
    for left in (INDEX, SIGNATURE, KEY):
        (target / left).unlink()
    record(
        run.database,
        MADE,
        plan,
        head.index,
        signer.fingerprints,
        parts=len(parts),
        size=size,
        by=run.actor,
        at=run.now(),
    )
    return {
        "folder": str(target), "parts": parts, "bytes": size, "identity": index.identity(head.index),
        "signed_by": list(signer.fingerprints), **plan.summary(),
    }  # fmt: skip


def record(
    database: Database,
    direction: str,
    plan: Index,
    data: bytes,
    fingerprints: Any,
    *,
    parts: int,
    size: int,
    by: str,
    at: Any,
) -> None:
    """Keep that it was made, or imported; the last one of a name counts."""
    with database.write() as session:
        row = session.scalar(select(Bundle).where(Bundle.name == plan.name, Bundle.direction == direction))
        if row is None:
            row = Bundle(name=plan.name, direction=direction)
            session.add(row)
        row.identity, row.signed_by = index.identity(data), list(fingerprints)
        row.parts, row.bytes, row.by, row.at = parts, size, by, at
        row.contents, row.since = plan.summary(), plan.since.name if plan.since else ""


def _planned(run: Run, stage: Path, contents: Contents, signer: Signer, room: int) -> tuple[Head, Index]:
    """The plan of an interrupted try where the content is still the same, else a new one, kept for the next try."""
    files = [stage / name for name in (INDEX, SIGNATURE, KEY)]
    if all(path.is_file() for path in files):
        head = Head(*(path.read_bytes() for path in files))
        if (before := _as_before(run, contents, signer, head)) is not None:
            return head, before
    for path in stage.iterdir():
        path.unlink()
    made_at, made_on = run.now().isoformat(), socket.gethostname()[:100]
    plan = _divided(run, contents, room, made_at, made_on)
    data = index.encode(plan)
    head = Head(data, signer.sign_detached(data), signer.public.encode())
    for path, content in zip(files, (head.index, head.signature, head.key), strict=True):
        path.write_bytes(content)
    return head, plan


def _take_up(run: Run, target: Path, stage: Path, contents: Contents, signer: Signer) -> None:
    """What a try that was killed in the last moment has made is this bundle: somebody may have fetched a part of it."""
    first = next(iter(sorted(target.glob(f"{run.subject}.001-of-*"))), None)
    if first is None or stage.exists():
        return
    said = []
    try:
        with first.open("rb") as part:
            for member in islice(ustar.members(part, what=first.name), 3):
                part.seek(member.start)
                said.append(part.read(member.size))
        if len(said) < 3 or _as_before(run, contents, signer, head := Head(*said)) is None:
            return
    except Invalid:  # it is no whole one, and is made anew
        return
    target.rename(stage)
    for name, content in head.members(1)[:3]:
        (stage / name).write_bytes(content)


def _as_before(run: Run, contents: Contents, signer: Signer, head: Head) -> Index | None:
    """The plan of an earlier try, where the content is still the same and signed by the same key."""
    before = index.decode(head.index, what=run.subject)
    wanted = _index(run, contents, before.parts, before.made_at, before.made_on)
    same = head.index == index.encode(wanted) and head.key == signer.public.encode()
    return before if same else None


def _divided(run: Run, contents: Contents, room: int, made_at: str, made_on: str) -> Index:
    """Parts that are not larger than asked for, the index included, whose size depends on how many there are."""
    blobs = list(contents.sizes.items())
    head = 16 * 1024
    for _ in range(5):
        if room and room - head < SMALLEST_PART // 2:
            problem = FieldProblem(
                "part_size", f"leaves no room: the index alone takes {space.shown(head)}.", "Write a larger one."
            )
            raise Invalid("The bundle cannot be made.", problems=[problem])
        cuts = dividing.divide(blobs, room - head if room else 0)
        pieces = dividing.pieces(cuts, contents.sizes, lambda cut: _hashed(run, contents, cut))
        plan = _index(run, contents, pieces, made_at, made_on)
        needed = ustar.taken(len(index.encode(plan))) + 16 * 1024  # the signature, the keys, the end
        if needed <= head or not room:
            return plan
        head = needed
    raise Invalid("The bundle cannot be divided into parts of this size.", hint="Write a larger part size.")


def _index(run: Run, contents: Contents, parts: list[list[Piece]], made_at: str, made_on: str) -> Index:
    return Index.model_construct(
        format=index.FORMAT, name=run.subject, made_at=made_at, made_on=made_on, since=contents.since,
        part_size=int(run.options.get("part_size", 0)),
        releases=contents.releases, snapshots=contents.snapshots, boot_programs=contents.boot_programs,
        templates=contents.templates, blobs=contents.sizes, assumed=contents.assumed, parts=parts,
    )  # fmt: skip


def _hashed(run: Run, contents: Contents, cut: Cut) -> str:
    digest = hashlib.sha256()
    for chunk in _read(contents.sources[cut.sha256], cut.offset, cut.length):
        digest.update(chunk)
        run.progress(0, says="Planning the parts")
    return digest.hexdigest()


def _read(path: Path, offset: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as source:
        source.seek(offset)
        while length:
            chunk = source.read(min(CHUNK, length))
            if not chunk:
                raise Conflict(f"{path.name} has become shorter while it was read.", hint="Make the bundle again.")
            length -= len(chunk)
            yield chunk


def _need_room(stage: Path, plan: Index, head: int) -> None:
    there = sum(path.stat().st_size for path in stage.iterdir())
    blobs = sum(ustar.taken(piece.length) for part in plan.parts for piece in part)
    space.need(stage, max(0, blobs + len(plan.parts) * (head + 32 * 1024) - there), for_what=f"Bundle {plan.name}")


def _tell(run: Run, name: str, done: int, total: int, more: int) -> None:
    run.progress(done + more, total, unit="bytes", says=f"Writing {name}")


def _write_part(
    path: Path,
    head: list[tuple[str, bytes]],
    pieces: list[Piece],
    contents: Contents,
    progress: Callable[[int], None],
) -> None:
    draft = path.with_name(f".{path.name}.draft")
    written = 0
    with draft.open("wb") as out:
        for name, data in head:
            out.write(ustar.header(name, len(data)) + data + bytes(ustar.padded(len(data)) - len(data)))
        for piece in pieces:
            out.write(ustar.header(piece.member, piece.length))
            digest = hashlib.sha256()
            for chunk in _read(contents.sources[piece.sha256], piece.offset, piece.length):
                digest.update(chunk)
                out.write(chunk)
                written += len(chunk)
                progress(written)
            out.write(bytes(ustar.padded(piece.length) - piece.length))
            if digest.hexdigest() != piece.digest:
                place = contents.sources[piece.sha256]
                raise Conflict(
                    f"{place} has changed since it was kept; nothing of it goes into a bundle.",
                    hint="Verify what it belongs to: pxeapp snapshot verify, pxeapp release verify.",
                )
        out.write(ustar.END)
        out.flush()
        os.fsync(out.fileno())
    draft.rename(path)
