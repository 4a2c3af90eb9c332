"""The schema's history. `upgrade` brings a database to the present one; a revision that ran stays as it is.

Alembic is imported where it is used: it takes a tenth of a command's start, and most commands upgrade nothing.
"""

from __future__ import annotations

import logging
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, String, column, or_, select, table

from pxeapp.db import Database, now
from pxeapp.errors import ConfigError
from pxeapp.storage import postgresql
from pxeapp.storage.faults import DatabaseLost

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

log = logging.getLogger(__name__)


def alembic_config(database: Database | None = None) -> Config:
    """Alembic's configuration without an ini file; the database travels as an attribute, so that no URL is logged."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database"] = database
    return config


def upgrade(database: Database, *, copies: Path | None = None) -> tuple[str | None, str]:
    """Bring the schema to its head; returns the revisions before and after. Idempotent.

    All of it is one transaction: whoever is killed in the middle leaves the database as it was. With `copies`, a copy
    of a database that is about to be changed is made in that folder first.
    """
    before = present_revision(database.engine)
    if before is not None and before not in known_revisions():
        raise ConfigError(
            f"The database is at schema {before}, which this version of pxeapp does not know.",
            hint="Run the version that made it or a newer one; or restore a backup from this version.",
        )
    if before is None and database.file is None:
        _refuse_left_behind(database)
    head = head_revision()
    if before != head:
        if before is not None and copies is not None:
            _copy(database, copies, f"before-{head}-from-{before}")
        from alembic import command

        command.upgrade(alembic_config(database), "head")
    if database.file is not None:
        database.file.make_mark(now())
    return before, head


def _refuse_left_behind(database: Database) -> None:
    """On a server the schemas of a restore say what the mark beside a file says: there was an appliance."""
    if database.engine.dialect.name != "postgresql":
        return
    name = column("nspname", String)
    of_a_restore = or_(name == postgresql.DRAFT, name.startswith(postgresql.EARLIER, autoescape=True))
    with database.engine.connect() as connection:
        left = connection.scalars(select(name).select_from(table("pg_namespace")).where(of_a_restore)).all()
    if left:
        raise DatabaseLost(
            f"The database has no tables, but a restore has begun in it: there is the schema {max(left)}.",
            hint="Run: pxeapp restore BACKUP. Only to begin anew with an empty one, drop every such schema: "
            f"DROP SCHEMA {max(left)} CASCADE",
        )


def _copy(database: Database, folder: Path, name: str) -> None:
    """One copy per upgrade: whoever begins again replaces what the last try left."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=folder) as draft:
        if database.file is not None:
            target = folder / f"{name}.db"
            database.file.copy(Path(draft) / target.name)
        else:
            target = folder / f"{name}.pgdump"
            try:
                postgresql.dump(database.url, Path(draft) / target.name)
            except postgresql.ToolFailed as error:
                log.warning("The database is upgraded without a copy of it: %s", error)
                return
        (Path(draft) / target.name).replace(target)
    log.warning("A copy of the database as it was before the upgrade is in %s.", target)


@cache
def known_revisions() -> frozenset[str]:
    """Every revision that this version of pxeapp can begin from."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


@cache
def head_revision() -> str:
    """The newest revision that this version of pxeapp knows: read once, for every look at /readyz asks."""
    return _scripts().get_current_head() or ""


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config())


def present_revision(engine: Engine) -> str | None:
    """The revision that the database is at; None for an empty one."""
    from alembic.runtime.migration import MigrationContext

    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
