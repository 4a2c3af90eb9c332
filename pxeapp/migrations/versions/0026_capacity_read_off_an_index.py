"""The overview counts machines by role and state off an index

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_machines_role_state", "machines", ["role", "state"])


def downgrade() -> None:
    op.drop_index("ix_machines_role_state", table_name="machines")
