"""The cache of upstreams: what operators say of each, what the front sees of it, what was asked and what was missing

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pxeapp.db import Timestamp

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COUNTED = (
    "requests", "hits", "misses", "index_hits", "index_misses", "bytes_from_cache", "bytes_from_upstream", "errors",
    "absent",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "software_upstreams",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("kind", sa.String(3), nullable=False),
        sa.Column("max_bytes", sa.BigInteger(), nullable=False),
        sa.Column("freshness_s", sa.Integer(), nullable=False),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("keep_packages", sa.Boolean(), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("keyring", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("updated_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_upstreams")),
        sa.UniqueConstraint("name", name=op.f("uq_software_upstreams_name")),
    )
    op.create_table(
        "software_upstream_states",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("sets", sa.JSON(), nullable=False),
        sa.Column("updated_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_software_upstream_states")),
    )
    op.create_table(
        "software_upstream_days",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTED),
        sa.PrimaryKeyConstraint("name", "day", name=op.f("pk_software_upstream_days")),
    )
    op.create_table(
        "software_upstream_missing",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("why", sa.String(10), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_upstream_missing")),
        sa.UniqueConstraint("name", "path", name=op.f("uq_software_upstream_missing_name_path")),
    )
    op.create_index(op.f("ix_software_upstream_missing_name_last_at"), "software_upstream_missing", ["name", "last_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_software_upstream_missing_name_last_at"), table_name="software_upstream_missing")
    for table in ("missing", "days", "states"):
        op.drop_table(f"software_upstream_{table}")
    op.drop_table("software_upstreams")
