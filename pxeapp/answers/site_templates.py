"""A site's own templates: each saved version is a row, and the newest lies as a file where rendering looks for it.

The rows are what all hosts share, and the history; the files are what is rendered. A process looks for newer versions
every few seconds, before one of its transactions, and writes those that this host does not have yet. A file that
somebody laid there by hand counts as it always did: it stays until a newer version of it is saved, and is put on record
first, so that it can be gone back to.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from pxeapp import audit
from pxeapp.answers.models import TemplateVersion
from pxeapp.db import Database
from pxeapp.errors import FieldProblem, Invalid, NotFound, PxeError
from pxeapp.templates import TEMPLATE_FOLDERS, TemplateError, Templates, data_root

LOOK_EVERY_S = 5.0
BY_HAND = "file"  # the author of what was found in the folder
DATA = (".yaml", ".ini")  # below roles/: read, not rendered
LONGEST_COMMENT = 500
LONGEST_PATH = 200
APPLIED = "templates.applied.json"  # beside the folder: which version of each file this host has
_PIECE = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_PATH = re.compile(rf"({'|'.join(TEMPLATE_FOLDERS)})(/{_PIECE})+")
log = logging.getLogger(__name__)


def listing(session: Session, templates: Templates) -> list[dict[str, Any]]:
    """Every template that there is, ours and the site's, each with its last version."""
    last = select(func.max(TemplateVersion.id)).group_by(TemplateVersion.path)
    versions = {row.path: row for row in session.scalars(select(TemplateVersion).where(TemplateVersion.id.in_(last)))}
    own = set(templates.of_the_site())
    found = []
    for path in sorted({*_ours(), *own, *(path for path, row in versions.items() if row.content is not None)}):
        row = versions.get(path)
        found.append(
            {
                "path": path,
                "of": "site" if path in own else "ours",
                "replaces_ours": path in own and (data_root() / path).is_file(),
                "version": row.number if row is not None else None,
                "author": row.author if row is not None else None,
                "at": row.at.isoformat() if row is not None else None,
            }
        )
    return found


def shown(session: Session, templates: Templates, path: str) -> dict[str, Any]:
    """One template as it counts now; raises NotFound."""
    source = templates.find(path) if "\0" not in path and len(path) <= LONGEST_PATH else None
    if source is None:
        raise NotFound(f"There is no template {path[:80]!r}.", hint="See the list of templates; a PUT makes a new one.")
    last = _last(session, path)
    return {
        "path": path,
        "of": "site" if templates.has_own(path) else "ours",
        "text": source.text(),
        "ours": ours(path),
        "latest": last.number if last is not None else 0,
    }


def ours(path: str) -> str | None:
    """What ours of this name says; None: we have none."""
    file = data_root() / path
    return file.read_text() if _PATH.fullmatch(path) and _is_template(file) else None


def versions(session: Session, path: str) -> Sequence[TemplateVersion]:
    """All versions of a template, the newest first."""
    found = select(TemplateVersion).where(TemplateVersion.path == path).order_by(TemplateVersion.number.desc())
    return session.scalars(found).all() if "\0" not in path else []


def version(session: Session, path: str, number: int) -> TemplateVersion:
    """One of them; raises NotFound."""
    found = select(TemplateVersion).where(TemplateVersion.path == path, TemplateVersion.number == number)
    row = session.scalar(found) if "\0" not in path else None
    if row is None:
        raise NotFound(f"There is no version {number} of {path[:80]!r}.", hint="See its list of versions.")
    return row


def check(templates: Templates, path: str, text: str) -> Templates:
    """The templates as they would be; raises Invalid where it could not be saved: wrong place, cannot be parsed."""
    if not _PATH.fullmatch(path) or len(path) > LONGEST_PATH or (data_root() / path).is_dir():
        fix = f"Write FOLDER/NAME with letters, digits, dots and dashes, below {', '.join(TEMPLATE_FOLDERS)}."
        problems = [FieldProblem("path", f"{path[:80]!r} cannot be a template's name.", fix)]
        raise Invalid("The template cannot be saved.", problems=problems)
    if "\0" in text:
        problems = [FieldProblem("text", "holds a NUL character.", "Take it out.")]
        raise Invalid("The template cannot be saved.", problems=problems)
    try:
        then = templates.proposing({path: text})
        if path.endswith(DATA):
            _check_data(then, path, text)
        else:
            then.check(path)
    except TemplateError as error:
        problems = [FieldProblem("text", error.sentence, "Correct it.")]
        raise Invalid("The template cannot be saved.", problems=problems) from None
    return then


def _check_data(then: Templates, path: str, text: str) -> None:
    if path.endswith(".yaml"):
        try:
            yaml.safe_load(text)
        except yaml.YAMLError as error:
            line = getattr(getattr(error, "problem_mark", None), "line", None)
            where = f"line {line + 1}" if line is not None else "its YAML"
            raise TemplateError(f"{path}, {where}: it is not YAML.") from None
        except RecursionError:
            raise TemplateError(f"{path} is nested too deeply.") from None
    if path.startswith("roles/") and path.endswith("/role.yaml"):
        # cost: every command watches for templates, and next to none saves a role
        from pxeapp.answers.roles import catalogue
        from pxeapp.answers.roles.definition import BadRole

        try:
            catalogue.load(path.removeprefix("roles/").removesuffix("/role.yaml"), then)
        except BadRole as error:
            raise TemplateError(" ".join([error.sentence, *map(str, error.problems)])) from None


def save(
    session: Session, templates: Templates, path: str, text: str, *, author: str, comment: str, now: dt.datetime
) -> TemplateVersion | None:
    """Keep a new version; None: it says the same as before. The file is written by `bring`, after the commit."""
    text = text.replace("\r\n", "\n")
    check(templates, path, text)
    _record_by_hand(session, templates, path, now=now)
    last = _last(session, path)
    if last is not None and last.content == text:
        return None
    return _add(session, path, text, author=author, comment=comment, now=now, action="template.save")


def delete(
    session: Session, templates: Templates, path: str, *, author: str, comment: str = "", now: dt.datetime
) -> TemplateVersion:
    """Take the site's own away, so that ours counts again; its versions stay. Raises NotFound where there is none."""
    if not templates.has_own(path):
        raise NotFound(
            f"The site has no template {path[:80]!r} of its own.", hint="Ours cannot be deleted, only replaced."
        )
    _record_by_hand(session, templates, path, now=now)
    return _add(session, path, None, author=author, comment=comment, now=now, action="template.delete")


def rollback(
    session: Session, templates: Templates, path: str, number: int, *, author: str, now: dt.datetime
) -> TemplateVersion | None:
    """Make an earlier version the newest; history is added to, and never taken away."""
    row = version(session, path, number)
    comment = f"Back to version {number}."
    if row.content is None:
        return delete(session, templates, path, author=author, comment=comment, now=now)
    return save(session, templates, path, row.content, author=author, comment=comment, now=now)


def _record_by_hand(session: Session, templates: Templates, path: str, *, now: dt.datetime) -> None:
    """What lies there and is no version yet is somebody's work."""
    if not templates.has_own(path):
        return
    source = templates.find(path)
    text = source.text() if source is not None else None
    last = _last(session, path)
    if text is not None and (last is None or last.content != text):
        _add(session, path, text, author=BY_HAND, comment="Found in the folder.", now=now, action="template.found")


def _add(
    session: Session, path: str, text: str | None, *, author: str, comment: str, now: dt.datetime, action: str
) -> TemplateVersion:
    last = _last(session, path)
    row = TemplateVersion(
        path=path,
        number=last.number + 1 if last is not None else 1,
        content=text,
        sha256=hashlib.sha256(text.encode()).hexdigest() if text is not None else "",
        author=author,
        at=now,
        comment=comment.strip()[:LONGEST_COMMENT],
    )
    session.add(row)
    session.flush()
    became = _recorded(row) if text is not None else None
    audit.record(
        session, at=now, actor=author, action=action, subject=path, version=row.number,
        **audit.difference(_recorded(last) if last is not None and last.content is not None else None, became),
    )  # fmt: skip
    return row


def _recorded(row: TemplateVersion) -> dict[str, Any]:
    """A version as the audit keeps it: which it is; its text stays among the versions, which are only added to."""
    return {"number": row.number, "sha256": row.sha256, "lines": len((row.content or "").splitlines())}


def _last(session: Session, path: str) -> TemplateVersion | None:
    newest = select(TemplateVersion).where(TemplateVersion.path == path).order_by(TemplateVersion.number.desc())
    return session.scalar(newest.limit(1))


def _ours() -> set[str]:
    root = data_root()
    paths = (path for folder in TEMPLATE_FOLDERS for path in (root / folder).rglob("*"))
    return {str(path.relative_to(root)) for path in paths if _is_template(path)}


def _is_template(file: Path) -> bool:
    return file.is_file() and file.suffix not in (".pyc", ".md")


def bring(database: Database, folder: Path) -> int:
    """Write every version that is newer than what this host has; returns how many files changed."""
    with database.engine.connect() as connection:
        newest = connection.scalar(select(func.max(TemplateVersion.id))) or 0
        applied = _applied(folder)
        if newest <= applied.get("", 0):
            return 0
        last = select(func.max(TemplateVersion.id)).group_by(TemplateVersion.path)
        columns = (TemplateVersion.path, TemplateVersion.number, TemplateVersion.content)
        rows = connection.execute(select(*columns).where(TemplateVersion.id.in_(last))).all()
    with _alone(folder):
        applied = _applied(folder)
        changed = 0
        for path, number, content in rows:
            if number > applied.get(path, 0):
                changed += _write(folder, path, content)
                applied[path] = number
        applied[""] = max(newest, applied.get("", 0))
        _replace(folder.parent / APPLIED, json.dumps(applied))
    return changed


def watch(database: Database, folder: Path) -> None:
    """Have the transactions of this database look for newer versions first, every few seconds."""
    before, lock = database.before_each, threading.Lock()
    due = 0.0

    def look() -> None:
        nonlocal due
        if before is not None:
            before()
        if time.monotonic() < due or not lock.acquire(blocking=False):
            return
        try:
            due = time.monotonic() + LOOK_EVERY_S
            if folder.parent.is_dir():
                bring(database, folder)
        except (SQLAlchemyError, PxeError, OSError) as error:
            # No table yet, a full disk: whoever asked goes on with the templates that are there.
            log.debug("Templates were not brought up to date: %s", type(error).__name__)
        finally:
            lock.release()

    database.before_each = look


def _write(folder: Path, path: str, content: str | None) -> bool:
    """One file as its version says; atomically, so that nobody ever renders half of it."""
    target = folder / path
    if content is None:
        there = target.is_file()
        target.unlink(missing_ok=True)
        return there
    if target.is_file() and target.read_bytes() == content.encode():
        return False
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    _replace(target, content)
    return True


def _replace(target: Path, content: str) -> None:
    draft = target.with_name(f".{target.name}.{threading.get_ident()}.draft")
    draft.write_bytes(content.encode())
    draft.replace(target)


def _applied(folder: Path) -> dict[str, int]:
    try:
        found = json.loads((folder.parent / APPLIED).read_text())
    except (OSError, ValueError):
        return {}
    return {str(path): int(number) for path, number in found.items()} if isinstance(found, dict) else {}


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of the processes of this host, one at a time."""
    with (folder.parent / f"{APPLIED}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
