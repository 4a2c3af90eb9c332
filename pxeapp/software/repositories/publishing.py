"""Publishing a repository: a new generation is made beside the served one, takes its place, and its row follows.

Whatever goes wrong, what was served stays served, and the row says why. A version of a package never changes: who has
installed it, and who has pinned it, must find the same bytes again.
"""

from __future__ import annotations

import datetime as dt
import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound, PxeError
from pxeapp.software import packages as lists
from pxeapp.software.content import tree
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Package
from pxeapp.software.repositories import apt, rpm, signing
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.signing import Signer
from pxeapp.vault import open_vault

MOST_SAID = 20  # names in one sentence, or in one audit row


class Busy(Conflict):
    """Another process publishes this repository just now."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a publication is made of besides its packages."""

    actor: str
    now: dt.datetime
    extra: Mapping[str, bytes] | None = None  # rpm: updateinfo, modules, group (see rpm.py); None: as it was
    again: bool = False  # though the packages are the same: another key, another suite
    tell: Callable[[str], None] = lambda _says: None  # called again and again; may raise to end the work


def served_at(settings: Settings, name: str) -> Path:
    """Where a repository's tree lies."""
    return settings.data_dir / "repo" / name


def publish(
    settings: Settings, database: Database, store: Store, name: str, packages: Sequence[Package] | None, how: Generation
) -> SoftwareRepository:
    """Have the repository hold these packages and no others (None: those that it holds); returns its row.

    Their files are in the store. With the same packages as before nothing is done, unless `how` says something new.
    Raises Busy while another process publishes it, Conflict for a version whose content has changed.
    """
    with _alone(store, name):
        with database.read() as session:
            row = get(session, name)
        try:
            there = lists.load(store, row.packages)
            packages = there if packages is None else packages
            check(packages, there)
            _refuse_absent(store, packages)
            saved = lists.save(store, packages)
            if saved == row.packages and row.manifest and not (how.again or how.extra or row.problem):
                return row
            manifest = _manifest(settings, database, store, row, packages, how)
            return _serve(settings, database, store, row, manifest, saved, packages, how)
        except (PxeError, OSError) as error:
            _remember(database, row.name, error, how.now)
            raise


def get(session: Session, name: str) -> SoftwareRepository:
    """The repository of this name; raises NotFound."""
    row = session.scalar(select(SoftwareRepository).where(SoftwareRepository.name == name))
    if row is None:
        raise NotFound(f"There is no repository {name[:63]!r}.", hint="See: pxeapp repository list")
    return row


def check(packages: Sequence[Package], published: Sequence[Package]) -> None:
    """Raises Conflict for one version with two contents, among these or against what was published."""
    known = {package.identity: package for package in published}
    problems = []
    for package in packages:
        other = known.setdefault(package.identity, package)
        if other.sha256 != package.sha256:
            problems.append(
                f"{package.name} {package.version} ({package.arch}) is there already, with another content "
                f"(SHA-256 {other.sha256[:12]}..., not {package.sha256[:12]}...)"
            )
    if problems:
        more = f" And {len(problems) - MOST_SAID} more." if len(problems) > MOST_SAID else ""
        raise Conflict(
            "; ".join(problems[:MOST_SAID]) + "." + more,
            hint="A version never changes: build the package with a higher one, or remove the old one first.",
        )


def transient(kind: str, manifest: Manifest) -> Manifest:
    """Of a generation that was, what clients that have read its index may still ask for."""
    is_transient = apt.is_transient if kind == "deb" else rpm.is_transient
    return Manifest(entry for entry in manifest if is_transient(entry.path))


def keep_served(settings: Settings, database: Database, now: dt.datetime) -> None:
    """Have each repository's tree be there, of what its row says; after a restore it may not be."""
    with database.read() as session:
        rows = session.scalars(select(SoftwareRepository).where(SoftwareRepository.manifest != "")).all()
    store = Store(settings.data_dir / "software")
    for row in rows:
        target = served_at(settings, row.name)
        if target.exists():
            continue
        try:
            tree.publish(store, Manifest.load(store, row.manifest), target)
        except (PxeError, OSError) as error:  # a backup without media, say; a sync or an upload brings it back
            if not row.problem:
                _remember(database, row.name, error, now)


def _manifest(
    settings: Settings,
    database: Database,
    store: Store,
    row: SoftwareRepository,
    packages: Sequence[Package],
    how: Generation,
) -> Manifest:
    how.tell("Making the index")
    signer = signing.signer(database, open_vault(settings.data_dir), actor=how.actor, now=how.now)
    signing.keep_served(settings, database)
    if row.kind == "deb":
        made = _deb_indices(row, packages, signer=signer, now=how.now, tell=lambda: how.tell(""))
    else:
        before = Manifest.load(store, row.manifest)
        made = rpm.files(store, packages, now=how.now, signer=signer, before=before, extra=how.extra, tell=how.tell)
    how.tell("Writing the index")
    blobs = {path: store.add_bytes(content) for path, content in made.items()}
    return Manifest(
        [
            *(Entry(package.path, package.sha256, package.size) for package in packages),
            *(Entry(path, blob.sha256, blob.size) for path, blob in blobs.items()),
        ]
    )


def _deb_indices(
    row: SoftwareRepository,
    packages: Sequence[Package],
    *,
    signer: Signer,
    now: dt.datetime,
    tell: Callable[[], None] = lambda: None,
) -> dict[str, bytes]:
    """The indices of a deb repository, as they lie below its root."""
    suite = apt.Suite(
        row.suite,
        label=row.name,
        description=row.description.replace("\n", " "),
        components=tuple(row.components) or ("main",),
        architectures=tuple(row.architectures),
    )
    return apt.files(packages, suite, now=now, signer=signer, tell=tell)


def _serve(
    settings: Settings,
    database: Database,
    store: Store,
    row: SoftwareRepository,
    manifest: Manifest,
    saved: str,
    packages: Sequence[Package],
    how: Generation,
) -> SoftwareRepository:
    former = Manifest.load(store, row.manifest)
    sha256 = manifest.save(store)
    target = served_at(settings, row.name)
    tree.publish(store, manifest, target, keep=[transient(row.kind, former)])
    try:
        with database.write() as session:
            flipped = session.execute(
                update(SoftwareRepository)
                .where(SoftwareRepository.id == row.id, SoftwareRepository.manifest == row.manifest)
                .values(
                    manifest=sha256, previous=row.manifest, packages=saved, package_count=len(packages),
                    bytes=sum(package.size for package in packages), published_at=how.now, problem="",
                    version=SoftwareRepository.version + 1, updated_at=how.now,
                )
            )  # fmt: skip
            if flipped.rowcount != 1:  # type: ignore[attr-defined]
                raise Conflict(f"The repository {row.name} was removed, or published by somebody else, meanwhile.")
            _record(session, row, lists.load(store, row.packages), packages, how)
            now_is = get(session, row.name)
            session.refresh(now_is)
            return now_is
    except BaseException:
        # The row is the truth: what it does not name must not be what machines get.
        if row.manifest:
            tree.publish(store, former, target)
        else:
            tree.withdraw(target)
        raise


def _record(
    session: Session, row: SoftwareRepository, old: Sequence[Package], new: Sequence[Package], how: Generation
) -> None:
    before, after = ({package.identity for package in each} for each in (old, new))
    added, removed = sorted(after - before), sorted(before - after)
    audit.record(
        session, at=how.now, actor=how.actor, action="repository.published", subject=f"repository:{row.name}",
        packages=len(new), added=_named(added), removed=_named(removed), added_count=len(added),
        removed_count=len(removed),
    )  # fmt: skip


def _named(identities: Sequence[tuple[str, str, str]]) -> list[str]:
    return [f"{name} {version} {arch}" for name, version, arch in identities[:MOST_SAID]]


def _remember(database: Database, name: str, error: PxeError | OSError, now: dt.datetime) -> None:
    sentence = error.in_full if isinstance(error, PxeError) else f"A file could not be read or written: {error}."
    with suppress(PxeError), database.write() as session:  # a database that cannot be written to was the error itself
        session.execute(
            update(SoftwareRepository)
            .where(SoftwareRepository.name == name)
            .values(problem=sentence[:2000], updated_at=now, version=SoftwareRepository.version + 1)
        )


def _refuse_absent(store: Store, packages: Sequence[Package]) -> None:
    """Raises Invalid when the store lacks a package's file; one that is there, garbage collection leaves alone now."""
    lost = [package for package in packages if not store.has(package.sha256)]
    if lost:
        raise Invalid(
            f"The files of {len(lost)} packages are not in the store.",
            problems=[FieldProblem(package.path, "is missing.", "Upload or sync it again.") for package in lost[:20]],
        )


@contextmanager
def _alone(store: Store, name: str) -> Iterator[None]:
    folder = store.root / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"repository-{name}").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"The repository {name} is being published already.", hint="Wait for it.") from error
        yield
