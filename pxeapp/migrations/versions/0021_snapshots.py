"""Snapshots of repositories, channels that lead to them, and bundles that carry them

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pxeapp.db import Timestamp, now

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "software_snapshots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("taken_by", sa.String(200), nullable=False),
        sa.Column("taken_at", Timestamp(), nullable=False),
        sa.Column("published_at", Timestamp(), nullable=True),
        sa.Column("deleted_at", Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_snapshots")),
        sa.UniqueConstraint("name", name=op.f("uq_software_snapshots_name")),
    )
    op.create_table(
        "software_snapshot_repositories",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(3), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("suite", sa.String(63), nullable=False),
        sa.Column("components", sa.JSON(), nullable=False),
        sa.Column("architectures", sa.JSON(), nullable=False),
        sa.Column("manifest", sa.String(64), nullable=False),
        sa.Column("packages", sa.String(64), nullable=False),
        sa.Column("package_count", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["software_snapshots.id"],
            name=op.f("fk_software_snapshot_repositories_snapshot_id"), ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_snapshot_repositories")),
        sa.UniqueConstraint("snapshot_id", "name", name=op.f("uq_software_snapshot_repositories_snapshot_id_name")),
    )  # fmt: skip
    channels = op.create_table(
        "software_channels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.String(63), nullable=True),
        sa.Column("published", sa.String(63), nullable=True),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("updated_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_channels")),
        sa.UniqueConstraint("name", name=op.f("uq_software_channels_name")),
    )
    moment = now()
    op.bulk_insert(
        channels,
        [
            {"name": name, "position": position, "created_at": moment, "updated_at": moment}
            for position, name in enumerate(("dev", "staging", "production"), start=1)
        ],
    )
    op.create_table(
        "software_channel_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(63), nullable=False),
        sa.Column("at", Timestamp(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(10), nullable=False),
        sa.Column("snapshot", sa.String(63), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("before", sa.String(63), nullable=True),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_channel_moves")),
    )
    op.create_index(op.f("ix_software_channel_moves_channel_id"), "software_channel_moves", ["channel", "id"])
    op.create_table(
        "software_snapshot_uses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(40), nullable=False),
        sa.Column("machine", sa.String(63), nullable=False),
        sa.Column("at", Timestamp(), nullable=False),
        sa.Column("pin", sa.String(80), nullable=False),
        sa.Column("snapshot", sa.String(63), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_snapshot_uses")),
    )
    op.create_index(op.f("ix_software_snapshot_uses_subject"), "software_snapshot_uses", ["subject"])
    op.create_index(op.f("ix_software_snapshot_uses_snapshot_id"), "software_snapshot_uses", ["snapshot", "id"])
    op.create_table(
        "software_bundles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("signed_by", sa.JSON(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("contents", sa.JSON(), nullable=False),
        sa.Column("since", sa.String(63), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software_bundles")),
        sa.UniqueConstraint("name", "direction", name=op.f("uq_software_bundles_name_direction")),
    )


def downgrade() -> None:
    op.drop_table("software_bundles")
    op.drop_index(op.f("ix_software_snapshot_uses_snapshot_id"), table_name="software_snapshot_uses")
    op.drop_index(op.f("ix_software_snapshot_uses_subject"), table_name="software_snapshot_uses")
    op.drop_table("software_snapshot_uses")
    op.drop_index(op.f("ix_software_channel_moves_channel_id"), table_name="software_channel_moves")
    op.drop_table("software_channel_moves")
    op.drop_table("software_channels")
    op.drop_table("software_snapshot_repositories")
    op.drop_table("software_snapshots")
