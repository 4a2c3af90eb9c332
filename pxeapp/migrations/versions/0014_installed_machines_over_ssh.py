"""How an installed machine is reached over ssh: the host keys that it is known by

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("host_keys", sa.JSON(), nullable=False),
        sa.Column("keys_from", sa.String(length=200), nullable=False),
        sa.Column("keys_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("reported_address", sa.String(length=45), nullable=False),
        sa.Column("address", sa.String(length=253), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["machine_id"], ["machines.id"], name=op.f("fk_nodes_machine_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("machine_id", name=op.f("pk_nodes")),
    )


def downgrade() -> None:
    op.drop_table("nodes")
