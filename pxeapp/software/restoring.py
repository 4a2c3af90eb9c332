"""Going back to an earlier version of a release: what an operator may change of it, never its files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from pxeapp import audit, versions
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.software import releases
from pxeapp.software.models import Release
from pxeapp.software.releases import CHANGEABLE, Agree, Description

UNSEEN = "It was restored, and nobody has looked at its files since."
OF_FILES = ("family", "version", "installer", "kernel_sha256", "initrd_sha256")


def restore(
    session: Session,
    name: str,
    body: Mapping[str, Any],
    *,
    agree: Agree,
    agree_new: Callable[[], None],
    actor: str,
    now: dt.datetime,
) -> Release:
    """Have the release as it was; one that is gone comes back, not ready until `releases.verify` saw its files.

    `agree` is told what there is now, `agree_new` that there is none; raises Invalid with each field of other files.
    """
    try:
        row = releases.get(session, name)
    except NotFound:
        agree_new()
        return _anew(session, name, body, actor=actor, now=now)
    session.refresh(row, with_for_update=True)
    agree(releases.wire(row))
    if problems := list(_other_files(row, body)):
        raise Invalid(f"{name} cannot go back: it has other files by now.", problems=problems)
    if releases.body(row) == body:
        return row
    return releases.update(session, name, {field: body[field] for field in CHANGEABLE}, actor=actor, now=now)


def _anew(session: Session, name: str, body: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Release:
    said = {field: body[field] for field in ("family", "version", "installer", *CHANGEABLE)}
    Description(name=name, **said).checked()
    row = Release(name=name, ready=False, problem=UNSEEN, created_at=now, updated_at=now, **body)
    session.add(row)
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="release.restore", subject=f"release:{name}",
        **audit.difference(None, releases.wire(row)),
    )  # fmt: skip
    versions.record(session, versions.RELEASES, name, None, releases.body(row), action="create", author=actor, at=now)
    return row


def _other_files(row: Release, body: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """A release is its files: machines were installed with them, and the record of it names their hashes."""
    fix = "Add it with those files under another name, or replace it with: pxeapp release"
    for field in OF_FILES:
        if getattr(row, field) != body[field]:
            yield FieldProblem(field, f"was {str(body[field])[:64]} in that version.", fix)
    if row.settings.get("files") != body["settings"].get("files"):
        yield FieldProblem("settings.files", "were others in that version.", fix)
