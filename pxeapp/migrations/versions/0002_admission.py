"""When an attempt was admitted: for spreading many over time

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("admitted_at", pxeapp.db.Timestamp(timezone=True), nullable=True))
    op.create_index(op.f("ix_deployments_admitted_at"), "deployments", ["admitted_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_deployments_admitted_at"), "deployments")
    op.drop_column("deployments", "admitted_at")
