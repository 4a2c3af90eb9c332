"""Redfish: the certificate that a BMC shows, which is trusted from the first time on

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("bmcs") as batch:
        batch.add_column(sa.Column("certificate", sa.String(64), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    with op.batch_alter_table("bmcs") as batch:
        batch.drop_column("certificate")
