"""Comparisons of many machines as jobs: how far one is, why it failed, and, sealed, what it compares and found

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("reached", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("problem", sa.Text(), nullable=True))
    op.create_table(
        "job_contents",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.LargeBinary(), nullable=True),
        sa.Column("begun", sa.Integer(), nullable=False),
        sa.Column("found", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_contents")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_contents_job_id"), ondelete="CASCADE"),
    )


def downgrade() -> None:
    op.drop_table("job_contents")
    op.execute("DELETE FROM jobs WHERE action = 'diff'")
    for column in ("problem", "reached"):
        op.drop_column("jobs", column)
