"""What is served of a snapshot that a bundle brought: the same, signed by our own key

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("software_snapshot_repositories") as table:
        table.add_column(sa.Column("served", sa.String(64), nullable=False, server_default=""))
    with op.batch_alter_table("software_snapshot_repositories") as table:
        table.alter_column("served", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("software_snapshot_repositories") as table:
        table.drop_column("served")
