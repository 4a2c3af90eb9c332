"""Whether the appliance only observes, and what time it believed it to be

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    appliance = op.create_table(
        "appliance",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("clock_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("observing_since", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("observing_reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appliance")),
    )
    op.bulk_insert(appliance, [{"id": 1, "clock_at": None, "observing_since": None, "observing_reason": ""}])


def downgrade() -> None:
    op.drop_table("appliance")
