"""What lists are narrowed and sorted by, saved filters, choices of users, records for reports, edited templates

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SINGLE = ("state", "role", "release", "cluster")  # had an index of their own; the name stands behind each now
STEPS = (
    "armed", "power_cycled", "dhcp_seen", "nbp_fetched", "kernel_fetched", "answer_fetched", "installing", "installed", "first_boot", "verified",
)  # fmt: skip
AT_ONCE = 500


def upgrade() -> None:
    with op.batch_alter_table("machines") as machines:
        machines.add_column(sa.Column("rack", sa.String(100), nullable=True))
    with op.batch_alter_table("machines") as machines:
        for column in SINGLE:
            machines.drop_index(op.f(f"ix_machines_{column}"))
        for column in (*SINGLE, "rack"):
            machines.create_index(op.f(f"ix_machines_{column}_name"), [column, "name"])
        machines.create_index(op.f("ix_machines_updated_at"), ["updated_at"])
    op.create_table(
        "saved_filters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(20), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("sort", sa.String(20), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("updated_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_filters")),
        sa.UniqueConstraint("scope", "name", name=op.f("uq_saved_filters_scope_name")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_saved_filters_user_id"), ondelete="CASCADE"),
    )
    op.create_index(op.f("ix_saved_filters_user_id"), "saved_filters", ["user_id"])
    op.create_table(
        "user_choices",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "name", name=op.f("pk_user_choices")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_choices_user_id"), ondelete="CASCADE"),
    )
    op.create_table(
        "template_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_versions")),
        sa.UniqueConstraint("path", "number", name=op.f("uq_template_versions_path_number")),
    )
    op.create_table(
        "deployment_records",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("deployment_id", sa.Integer(), nullable=False),
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("machine", sa.String(63), nullable=False),
        sa.Column("release", sa.String(63), nullable=False),
        sa.Column("role", sa.String(63), nullable=False),
        sa.Column("requested_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("finished_at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("reason_code", sa.String(40), nullable=False),
        sa.Column("took_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(step, sa.BigInteger(), nullable=True) for step in STEPS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_records")),
    )
    op.create_index(
        op.f("ix_deployment_records_machine_id_finished_at"), "deployment_records", ["machine_id", "finished_at"]
    )
    op.create_index(op.f("ix_deployment_records_finished_at"), "deployment_records", ["finished_at"])
    _fill_racks()
    _fill_records()


def downgrade() -> None:
    for name in ("deployment_records", "template_versions", "user_choices", "saved_filters"):
        op.drop_table(name)
    with op.batch_alter_table("machines") as machines:
        machines.drop_index(op.f("ix_machines_updated_at"))
        for column in (*SINGLE, "rack"):
            machines.drop_index(op.f(f"ix_machines_{column}_name"))
        for column in SINGLE:
            machines.create_index(op.f(f"ix_machines_{column}"), [column])
    with op.batch_alter_table("machines") as machines:
        machines.drop_column("rack")


def _fill_racks() -> None:
    machines = sa.table(
        "machines", sa.column("id", sa.Integer), sa.column("location", sa.JSON), sa.column("rack", sa.String)
    )
    connection = op.get_bind()
    found = []
    for number, location in connection.execute(sa.select(machines.c.id, machines.c.location)).all():
        said = location.get("rack") if isinstance(location, dict) else None
        if said not in (None, ""):
            found.append({"number": number, "said": str(said)[:100]})
    if found:
        by_number = sa.update(machines).where(machines.c.id == sa.bindparam("number")).values(rack=sa.bindparam("said"))
        connection.execute(by_number, found)


def _fill_records() -> None:
    """Whatever was finished before there were records."""
    moment = pxeapp.db.Timestamp()
    machines = sa.table("machines", sa.column("id", sa.Integer), sa.column("name", sa.String))
    attempts = sa.table(
        "deployments",
        *(sa.column(name) for name in ("id", "machine_id", "release", "role", "outcome", "reason_code")),
        sa.column("requested_at", moment), sa.column("finished_at", moment), sa.column("steps", sa.JSON),
    )  # fmt: skip
    records = sa.table(
        "deployment_records",
        *(sa.column(name) for name in ("deployment_id", "machine_id", "machine", "release", "role", "outcome", "reason_code", "took_ms", *STEPS)),
        sa.column("requested_at", moment), sa.column("finished_at", moment),
    )  # fmt: skip
    connection = op.get_bind()
    after = 0
    while True:
        found = connection.execute(
            sa.select(attempts, machines.c.name)
            .join_from(attempts, machines, attempts.c.machine_id == machines.c.id)
            .where(attempts.c.id > after, attempts.c.outcome.is_not(None), attempts.c.finished_at.is_not(None))
            .order_by(attempts.c.id)
            .limit(AT_ONCE)
        ).all()
        if not found:
            return
        after = found[-1].id
        connection.execute(records.insert(), [_record(row) for row in found])


def _record(row: Any) -> dict[str, Any]:
    plain = ("machine_id", "release", "role", "outcome", "reason_code", "requested_at", "finished_at")
    return {
        "deployment_id": row.id,
        "machine": row.name,
        "took_ms": _ms(row.finished_at - row.requested_at),
        **{name: getattr(row, name) for name in plain},
        **{step: _took(row).get(step) for step in STEPS},
    }


def _took(row: Any) -> dict[str, int]:
    found = {}
    before = row.requested_at
    for entry in row.steps if isinstance(row.steps, list) else []:
        at = dt.datetime.fromisoformat(entry["at"])
        found[entry["step"]] = _ms(at - before)
        before = at
    return found


def _ms(length: dt.timedelta) -> int:
    return max(0, round(length.total_seconds() * 1000))
