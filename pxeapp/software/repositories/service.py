"""Repositories as rows: made, changed, removed, shown; and what is ordered of the software worker for them."""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.config import Settings
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.sentences import few
from pxeapp.software import packages as lists
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Kind, Package
from pxeapp.software.repositories import apt, publishing, signing
from pxeapp.software.repositories.models import RESERVED, SoftwareRepository
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask

LOCAL = "local"
PUBLISH = "repository.publish"  # the kind of task that changes what one holds
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
# What the machines run that the product installs, besides packages for all of them.
ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "deb": ("amd64", "i386"),
    "rpm": ("x86_64", "i386", "i486", "i586", "i686"),
}
SUITE, COMPONENT = "stable", "main"  # of a deb repository, unless others are named
Agree = Callable[[dict[str, Any]], None]  # told what is there now; raises when that is not what the asker has seen


def create(
    session: Session, settings: Settings, said: Mapping[str, Any], *, actor: str, now: dt.datetime
) -> tuple[SoftwareRepository, SoftwareTask]:
    """Add a local repository, and order its first index, of no packages. Raises Invalid or Conflict."""
    name, kind = str(said["name"]), str(said["kind"])
    deb = kind == "deb"
    row = SoftwareRepository(
        name=name,
        kind=kind,
        origin=LOCAL,
        description=said.get("description", ""),
        suite=said.get("suite") or (SUITE if deb else ""),
        components=list(said.get("components") or ([COMPONENT] if deb else [])),
        architectures=list(said.get("architectures") or ARCHITECTURES[kind][:1]),
        created_at=now,
        updated_at=now,
        version=1,
    )
    problems = _problems(row)
    if not NAME.fullmatch(name) or name in RESERVED:
        fix = f"Use a-z, 0-9, dots and dashes, and none of {', '.join(RESERVED)}."
        problems.insert(0, FieldProblem("name", f"{name[:63]!r} is no name for a repository.", fix))
    if problems:
        raise Invalid("The repository was not added.", problems=problems)
    if session.scalar(select(SoftwareRepository.id).where(SoftwareRepository.name == name)) is not None:
        raise Conflict(
            f"There is a repository {name} already.", hint=f"Take another name: pxeapp repository show {name}"
        )
    if (there := publishing.served_at(settings, name)).exists():
        raise Conflict(
            f"{there} exists already, and was not made by this appliance.", hint="Move it away, or take another name."
        )
    session.add(row)
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="repository.created", subject=f"repository:{name}", after=_said(row)
    )
    return row, tasks.order(session, PUBLISH, name, {}, actor=actor, now=now)


def change(
    session: Session, name: str, said: Mapping[str, Any], *, agree: Agree = lambda _: None, actor: str, now: dt.datetime
) -> SoftwareRepository:
    """Change what a local repository is, and order an index that says so. Raises Invalid or Conflict."""
    row = _local(session, name)
    agree(wire(row, ""))
    before = _said(row)
    for field in ("description", "suite", "components", "architectures"):
        if said.get(field) is not None:
            setattr(row, field, said[field])
    if problems := _problems(row):
        raise Invalid(f"The repository {name} was not changed.", problems=problems)
    after = _said(row)
    if before == after:
        return row
    row.version += 1
    row.updated_at = now
    audit.record(
        session, at=now, actor=actor, action="repository.changed", subject=f"repository:{name}",
        **audit.difference(before, after),
    )  # fmt: skip
    tasks.order(session, PUBLISH, name, {"again": True}, actor=actor, now=now)
    return row


def edit(
    session: Session,
    name: str,
    *,
    add: Sequence[Mapping[str, str]] = (),
    remove: Sequence[str] = (),
    actor: str,
    now: dt.datetime,
) -> SoftwareTask:
    """Order packages to be added (`sha256` in the store, `name` of the file, `component`) and others to be removed."""
    row = _local(session, name)
    problems = [
        FieldProblem(
            f"add.{number}.component", f"{each['component'][:63]!r} is no component of {name}.",
            f"It has {', '.join(row.components) or 'none'}.",
        )
        for number, each in enumerate(add)
        if each.get("component") and each["component"] not in row.components
    ]  # fmt: skip
    if not add and not remove:
        problems.append(FieldProblem("add", "is empty, and so is remove.", "Name a package at least."))
    if problems:
        raise Invalid(f"The repository {name} was not changed.", problems=problems)
    options = {"add": [dict(each) for each in add], "remove": list(remove)}
    return tasks.order(session, PUBLISH, name, options, actor=actor, now=now)


def republish(session: Session, name: str, *, actor: str, now: dt.datetime) -> SoftwareTask:
    """Order a new index of the same packages, signed by the keys of now."""
    publishing.get(session, name)
    return tasks.order(session, PUBLISH, name, {"again": True}, actor=actor, now=now)


def remove(
    session: Session,
    name: str,
    *,
    readers: Sequence[str] = (),
    agree: Agree = lambda _: None,
    actor: str,
    now: dt.datetime,
) -> None:
    """Remove a local repository's row, unless somebody reads it; its caller takes the tree away."""
    row = _local(session, name)
    agree(wire(row, ""))
    if readers:
        raise Conflict(f"The repository {name} is read by {few(readers, 5)}.", hint="Change these first.")
    working = session.scalar(
        select(SoftwareTask.id).where(
            SoftwareTask.subject == name, SoftwareTask.kind == PUBLISH, SoftwareTask.finished_at.is_(None)
        )
    )
    if working is not None:
        raise Conflict(f"Task {working} works on {name}.", hint=f"Wait for it, or: pxeapp software cancel {working}")
    session.delete(row)
    audit.record(
        session, at=now, actor=actor, action="repository.deleted", subject=f"repository:{name}", before=_said(row),
        packages=row.package_count,
    )  # fmt: skip


def listing(
    session: Session, *, after: str = "", limit: int, kind: str = "", origin: str = ""
) -> Sequence[SoftwareRepository]:
    """Repositories by name, behind `after`; of one kind or origin alone where that is said."""
    query = select(SoftwareRepository).where(SoftwareRepository.name > after)
    if kind:
        query = query.where(SoftwareRepository.kind == kind)
    if origin:
        query = query.where(SoftwareRepository.origin == origin)
    return session.scalars(query.order_by(SoftwareRepository.name).limit(limit)).all()


def packages(
    store: Store, row: SoftwareRepository, *, search: str = "", after: str = "", limit: int
) -> tuple[list[Package], str]:
    """Its packages in order, `limit` of those behind the key `after`, and the key of the last where there are more.

    `search` narrows to those whose name or summary has every one of its words.
    """
    listed, keys = _listed(store.root, row.packages)
    words = search.lower().split()
    found: list[Package] = []
    for package in listed[bisect_right(keys, after) if after else 0 :]:
        text = f"{package.name} {package.summary}".lower() if words else ""
        if all(word in text for word in words):
            if len(found) == limit:
                return found, _key(found[-1])
            found.append(package)
    return found, ""


def wire(row: SoftwareRepository, node_url: str) -> dict[str, Any]:
    """A repository as the API shows it."""
    url = f"{node_url}/repo/{row.name}"
    return {
        "name": row.name,
        "kind": row.kind,
        "origin": row.origin,
        "description": row.description,
        "suite": row.suite,
        "components": list(row.components),
        "architectures": list(row.architectures),
        "url": url,
        "source": _source(row, url),
        "key": f"{node_url}/repo/{signing.FOLDER}/{signing.BINARY if row.kind == 'deb' else signing.ARMOURED}",
        "packages": row.package_count,
        "bytes": row.bytes,
        "published_at": row.published_at.isoformat() if row.published_at else None,
        "problem": row.problem,
        "version": row.version,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def wire_package(package: Package) -> dict[str, Any]:
    """A package as the API shows it."""
    return {
        "name": package.name,
        "version": package.version,
        "architecture": package.arch,
        "source": package.source,
        "summary": package.summary,
        "path": package.path,
        "sha256": package.sha256,
        "size": package.size,
    }


def _source(row: SoftwareRepository, url: str) -> str:
    """What a machine's own configuration says of it."""
    if row.kind == "deb":
        return f"deb [signed-by=/etc/apt/keyrings/{signing.BINARY}] {url} {row.suite} {' '.join(row.components)}"
    return f"[{row.name}]\nname={row.name}\nbaseurl={url}\nrepo_gpgcheck=1\ngpgcheck=0\n"


def _local(session: Session, name: str) -> SoftwareRepository:
    row = session.scalar(select(SoftwareRepository).where(SoftwareRepository.name == name).with_for_update())
    if row is None:
        raise NotFound(f"There is no repository {name[:63]!r}.", hint="See: pxeapp repository list")
    if row.origin != LOCAL:
        raise Conflict(f"{name} is a mirror: its packages come from its upstream.", hint="See: pxeapp mirror --help")
    return row


def _problems(row: SoftwareRepository) -> list[FieldProblem]:
    problems: list[FieldProblem] = []
    if row.kind == "deb":
        try:
            apt.Suite(row.suite, components=tuple(row.components), architectures=tuple(row.architectures))
        except Invalid as error:
            problems += error.problems
    else:
        problems += [
            FieldProblem(field, "is for deb repositories.", "Leave it out.")
            for field in ("suite", "components")
            if getattr(row, field)
        ]
    known: Collection[str] = ARCHITECTURES[row.kind]
    problems += [
        FieldProblem("architectures", f"{each[:32]!r} is not possible.", f"Use {', '.join(known)}.")
        for each in row.architectures
        if each not in known
    ]
    if not row.architectures:
        problems.append(FieldProblem("architectures", "is empty.", f"Use {', '.join(known)}."))
    if any(not char.isprintable() for char in row.description):
        problems.append(FieldProblem("description", "holds a line break or a control character.", "Take it out."))
    return problems


def _said(row: SoftwareRepository) -> dict[str, Any]:
    return {
        "kind": row.kind, "description": row.description, "suite": row.suite, "components": list(row.components),
        "architectures": list(row.architectures),
    }  # fmt: skip


def _key(package: Package) -> str:
    return f"{package.name}/{package.arch}/{package.version}/{package.path}"


@lru_cache(maxsize=4)  # a list never changes, and paging through one asks for it again and again
def _listed(root: Path, sha256: str) -> tuple[list[Package], list[str]]:
    listed = sorted(lists.load(Store(root), sha256), key=_key)
    return listed, [_key(package) for package in listed]


def kind_of(row: SoftwareRepository) -> Kind:
    """Its kind, as packages know it."""
    return cast(Kind, row.kind)
