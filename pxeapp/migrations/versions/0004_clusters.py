"""Clusters, and what a site's own role declares as variables

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clusters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("vars", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("updated_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
        sa.UniqueConstraint("name", name=op.f("uq_clusters_name")),
    )
    with op.batch_alter_table("machines") as machines:
        machines.add_column(sa.Column("cluster", sa.String(63), nullable=True))
        machines.create_foreign_key(op.f("fk_machines_cluster"), "clusters", ["cluster"], ["name"])
        machines.create_index(op.f("ix_machines_cluster"), ["cluster"])
    with op.batch_alter_table("roles") as roles:
        roles.add_column(sa.Column("variables", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("roles") as roles:
        roles.alter_column("variables", server_default=None)


def downgrade() -> None:
    op.drop_column("roles", "variables")
    with op.batch_alter_table("machines") as machines:
        machines.drop_index(op.f("ix_machines_cluster"))
        machines.drop_constraint(op.f("fk_machines_cluster"), type_="foreignkey")
        machines.drop_column("cluster")
    op.drop_table("clusters")
