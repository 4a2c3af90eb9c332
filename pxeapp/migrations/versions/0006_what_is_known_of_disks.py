"""What is known of a machine's disks; a size may exceed 2 GiB

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("disks") as disks:
        disks.alter_column("size_bytes", existing_type=sa.Integer(), type_=sa.BigInteger(), existing_nullable=True)
        disks.add_column(sa.Column("wwn", sa.String(100), nullable=True))
        disks.add_column(sa.Column("model", sa.String(100), nullable=True))
        disks.add_column(sa.Column("rotational", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.execute("UPDATE disks SET size_bytes = NULL WHERE size_bytes > 2147483647")
    with op.batch_alter_table("disks") as disks:
        disks.drop_column("rotational")
        disks.drop_column("model")
        disks.drop_column("wwn")
        disks.alter_column("size_bytes", existing_type=sa.BigInteger(), type_=sa.Integer(), existing_nullable=True)
