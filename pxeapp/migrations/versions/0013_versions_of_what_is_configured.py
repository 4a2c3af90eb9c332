"""Versions of networks, releases, roles and clusters; what is there now is the first one of each

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# What a version keeps of each. Secrets that lie open in a row are sealed right after the migrations, here as there
# (pxeapp/answers/sealing.py).
JSON = {"dns", "ntp", "repositories", "settings", "packages", "services", "storage", "vars", "variables", "secrets"}
NUMBERS = {"vlan"}
KEPT = {
    "networks": ("cidr", "gateway", "dns", "ntp", "domain", "vlan", "dhcp_start", "dhcp_end"),
    "releases": (
        "family", "version", "installer", "kernel", "kernel_sha256", "initrd", "initrd_sha256", "kernel_args",
        "install_url", "repositories", "settings",
    ),
    "roles": ("description", "packages", "services", "storage", "vars", "variables"),
    "clusters": ("description", "vars", "secrets"),
}  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("at", pxeapp.db.Timestamp(timezone=True), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_versions")),
        sa.UniqueConstraint("kind", "name", "number", name=op.f("uq_versions_kind_name_number")),
    )
    _first_ones()


def downgrade() -> None:
    op.drop_table("versions")


def _first_ones() -> None:
    versions = sa.table(
        "versions",
        *(sa.column(name) for name in ("kind", "name", "number", "author", "action", "comment")),
        sa.column("at", pxeapp.db.Timestamp()), sa.column("body", sa.JSON),
    )  # fmt: skip
    connection = op.get_bind()
    about = {"number": 1, "author": "system:upgrade", "action": "found", "comment": "", "at": dt.datetime.now(dt.UTC)}
    for kind, fields in KEPT.items():
        rows = sa.table(kind, sa.column("name"), *(_column(field) for field in fields))
        found = [
            {"kind": kind, "name": row["name"], "body": {field: row[field] for field in fields}, **about}
            for row in connection.execute(sa.select(rows)).mappings()
        ]
        if found:
            connection.execute(versions.insert(), found)


def _column(field: str) -> sa.ColumnClause[object]:
    kind = sa.JSON() if field in JSON else sa.Integer() if field in NUMBERS else sa.Text()
    return sa.column(field, kind)
