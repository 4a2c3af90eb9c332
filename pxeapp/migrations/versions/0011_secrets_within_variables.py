"""Secrets within variables are sealed where they stand

The tables stay as they are, and so do the rows: what seals them needs the key file, and runs right after the migrations
(pxeapp/answers/sealing.py). But a version that knows nothing of sealed parts would write them into answer files as they
stand; with this revision it refuses the database instead.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pxeapp.errors import ConfigError

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing in the schema."""


def downgrade() -> None:
    """Refused where an earlier version would take what is sealed for what it stands for."""
    for table in ("machines", "roles", "clusters"):
        rows = sa.table(table, sa.column("name", sa.String), sa.column("vars", sa.JSON))
        for name, said in op.get_bind().execute(sa.select(rows.c.name, rows.c.vars)):
            inner = [value for value in said.values() if not (isinstance(value, dict) and "$secret" in value)]
            if any(map(_holds_sealed, inner)):
                raise ConfigError(
                    f"Secrets are sealed within variables of {name}, which the earlier version cannot open.",
                    hint="Restore the backup that the earlier version made, or take these variables out first.",
                )


def _holds_sealed(value: object) -> bool:
    if isinstance(value, dict):
        return "$secret" in value or any(map(_holds_sealed, value.values()))
    return isinstance(value, list) and any(map(_holds_sealed, value))
