"""Rollouts: the order with its plan, its machines, their steps, and its course

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.String(length=40), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("soak_until", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("passed", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("started_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("deadline", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("due_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("finished_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("lease_epoch", sa.Integer(), nullable=False),
        sa.Column("lease_until", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
    )
    op.create_index(op.f("ix_rollouts_finished_at"), "rollouts", ["finished_at"], unique=False)
    op.create_index(op.f("ix_rollouts_name"), "rollouts", ["name"], unique=False)
    op.create_index(op.f("ix_rollouts_state"), "rollouts", ["state"], unique=False)
    op.create_table(
        "rollout_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rollout_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=True),
        sa.Column("at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rollout_id"], ["rollouts.id"], name=op.f("fk_rollout_events_rollout_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout_events")),
    )
    op.create_index(op.f("ix_rollout_events_rollout_id_id"), "rollout_events", ["rollout_id", "id"], unique=False)
    op.create_table(
        "rollout_members",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rollout_id", sa.Integer(), nullable=False),
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("machine", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=63), nullable=True),
        sa.Column("release", sa.String(length=63), nullable=True),
        sa.Column("cluster", sa.String(length=63), nullable=True),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("step", sa.String(length=12), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.String(length=40), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("asked", sa.String(length=10), nullable=False),
        sa.Column("started_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("finished_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("step_deadline", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("due_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("lease_epoch", sa.Integer(), nullable=False),
        sa.Column("lease_until", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["rollout_id"], ["rollouts.id"], name=op.f("fk_rollout_members_rollout_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout_members")),
        sa.UniqueConstraint("rollout_id", "machine_id", name=op.f("uq_rollout_members_rollout_id_machine_id")),
    )
    op.create_index(
        op.f("ix_rollout_members_machine_id_state"), "rollout_members", ["machine_id", "state"], unique=False
    )
    op.create_index(
        op.f("ix_rollout_members_rollout_id_wave_position"),
        "rollout_members",
        ["rollout_id", "wave", "position"],
        unique=False,
    )
    op.create_index(op.f("ix_rollout_members_state_due_at"), "rollout_members", ["state", "due_at"], unique=False)
    op.create_table(
        "rollout_steps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=12), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("started_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("finished_at", pxeapp.db.Timestamp(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("memory", sa.JSON(), nullable=False),
        sa.Column("log", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["rollout_members.id"], name=op.f("fk_rollout_steps_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout_steps")),
        sa.UniqueConstraint("member_id", "step", "tries", name=op.f("uq_rollout_steps_member_id_step_tries")),
    )
    op.create_index(
        op.f("ix_rollout_steps_step_outcome_finished_at"),
        "rollout_steps",
        ["step", "outcome", "finished_at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("rollout_steps")
    op.drop_table("rollout_members")
    op.drop_table("rollout_events")
    op.drop_table("rollouts")
