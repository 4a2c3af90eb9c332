"""Run by Alembic: one transaction for all revisions, on the database that `pxeapp.migrations` was given."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from pxeapp.db import Base, Database, one_at_a_time_on
from pxeapp.migrations import tables

assert tables  # noqa: S101 - imported so that Base.metadata is whole


def run() -> None:
    """Migrate; SQLite changes tables by copying them (batch mode)."""
    database: Database = context.config.attributes["database"]
    sqlite = database.engine.dialect.name == "sqlite"
    with database.engine.connect().execution_options(pxeapp_write=True) as connection:
        if sqlite:
            _foreign_keys(connection, "OFF")
        # Ours, and begun before Alembic looks where the schema stands: two that upgrade at once do it one by one.
        with connection.begin():
            one_at_a_time_on(connection, "upgrade")
            context.configure(
                connection=connection, target_metadata=Base.metadata, render_as_batch=sqlite, compare_type=True
            )
            context.run_migrations()
        if sqlite:
            _foreign_keys(connection, "ON")


def _foreign_keys(connection: Connection, state: str) -> None:
    """To change a table SQLite drops it, and with foreign keys on that deletes every row that points to it.

    Said to the driver itself, since the pragma does nothing inside a transaction.
    """
    driver = connection.connection.driver_connection
    if driver is not None:
        driver.execute(f"PRAGMA foreign_keys={state}")


run()
