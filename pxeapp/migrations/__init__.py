"""The schema's history. `upgrade` brings a database to the present one; a revision that ran stays as it is."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from pxeapp.db import Database
from pxeapp.errors import ConfigError


def alembic_config(database: Database | None = None) -> Config:
    """Alembic's configuration without an ini file; the database travels as an attribute, so that no URL is logged."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database"] = database
    return config


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the schema to its head; returns the revisions before and after. Idempotent."""
    before = present_revision(database.engine)
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    if before is not None and before not in known:
        raise ConfigError(
            f"The database is at schema {before}, which this version of pxeapp does not know.",
            hint="Run the version that made it or a newer one; or restore a backup from this version.",
        )
    command.upgrade(alembic_config(database), "head")
    return before, head_revision()


def head_revision() -> str:
    """The newest revision that this version of pxeapp knows."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head() or ""


def present_revision(engine: Engine) -> str | None:
    """The revision that the database is at; None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
