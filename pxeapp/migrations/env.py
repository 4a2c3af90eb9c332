"""Run by Alembic: one transaction per revision, on the database that `pxeapp.migrations` was given."""

from __future__ import annotations

from alembic import context

from pxeapp.db import Base, Database
from pxeapp.migrations import tables

assert tables  # noqa: S101 - imported so that Base.metadata is whole


def run() -> None:
    """Migrate; SQLite changes tables by copying them (batch mode)."""
    database: Database = context.config.attributes["database"]
    with database.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=database.engine.dialect.name == "sqlite",
            transaction_per_migration=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
