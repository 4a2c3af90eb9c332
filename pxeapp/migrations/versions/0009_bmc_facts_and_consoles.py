"""What BMCs say of themselves, and recorded consoles

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    stamp = pxeapp.db.Timestamp(timezone=True)
    op.create_table(
        "bmc_orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("argument", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=True),
        sa.Column("error_code", sa.String(30), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(200), nullable=False),
        sa.Column("requested_at", stamp, nullable=False),
        sa.Column("due_at", stamp, nullable=False),
        sa.Column("deadline", stamp, nullable=False),
        sa.Column("finished_at", stamp, nullable=True),
        sa.Column("lease_owner", sa.String(100), nullable=True),
        sa.Column("lease_epoch", sa.Integer(), nullable=False),
        sa.Column("lease_until", stamp, nullable=True),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.id"], name=op.f("fk_bmc_orders_machine_id_machines"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bmc_orders")),
    )
    op.create_index(op.f("ix_bmc_orders_finished_at_due_at"), "bmc_orders", ["finished_at", "due_at"])
    op.create_index(op.f("ix_bmc_orders_machine_id_id"), "bmc_orders", ["machine_id", "id"])
    op.create_table(
        "bmc_facts",
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("seen_at", stamp, nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.id"], name=op.f("fk_bmc_facts_machine_id_machines"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("machine_id", "kind", name=op.f("pk_bmc_facts")),
    )
    op.create_table(
        "sel_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("raw", sa.String(32), nullable=False),
        sa.Column("record", sa.Integer(), nullable=False),
        sa.Column("at", stamp, nullable=True),
        sa.Column("sensor", sa.String(100), nullable=False),
        sa.Column("event", sa.String(200), nullable=False),
        sa.Column("severity", sa.String(10), nullable=False),
        sa.Column("asserted", sa.Boolean(), nullable=False),
        sa.Column("seen_at", stamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.id"], name=op.f("fk_sel_entries_machine_id_machines"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sel_entries")),
        sa.UniqueConstraint("machine_id", "raw", name=op.f("uq_sel_entries_machine_id_raw")),
    )
    op.create_index(op.f("ix_sel_entries_machine_id_id"), "sel_entries", ["machine_id", "id"])
    op.create_table(
        "console_recordings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("deployment_id", sa.Integer(), nullable=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("started_at", stamp, nullable=False),
        sa.Column("ended_at", stamp, nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("cut", sa.Boolean(), nullable=False),
        sa.Column("trouble", sa.String(300), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.id"], name=op.f("fk_console_recordings_machine_id_machines"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_recordings")),
        sa.UniqueConstraint("deployment_id", name=op.f("uq_console_recordings_deployment_id")),
    )
    op.create_index(op.f("ix_console_recordings_machine_id_id"), "console_recordings", ["machine_id", "id"])
    op.create_index(op.f("ix_console_recordings_ended_at"), "console_recordings", ["ended_at"])


def downgrade() -> None:
    for table in ("console_recordings", "sel_entries", "bmc_facts", "bmc_orders"):
        op.drop_table(table)
