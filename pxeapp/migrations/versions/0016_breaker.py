"""The breaker: whether machines that work may be reinstalled

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breaker",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("opened_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("after_id", sa.Integer(), nullable=False),
        sa.Column("reset_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("reset_by", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_breaker")),
    )


def downgrade() -> None:
    op.drop_table("breaker")
