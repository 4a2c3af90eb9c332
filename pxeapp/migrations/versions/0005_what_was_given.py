"""What each machine was given, byte for byte

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "given_bases",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_given_bases")),
    )
    op.add_column("served", sa.Column("base", sa.String(64), nullable=True))
    op.add_column("served", sa.Column("record", sa.LargeBinary(), nullable=True))
    op.create_index(op.f("ix_served_base"), "served", ["base"])


def downgrade() -> None:
    op.drop_index(op.f("ix_served_base"), "served")
    op.drop_column("served", "record")
    op.drop_column("served", "base")
    op.drop_table("given_bases")
