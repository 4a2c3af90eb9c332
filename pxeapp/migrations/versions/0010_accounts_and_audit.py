"""Projects, sessions, second factors, scopes of tokens, tries to sign in; an audit that is chained and append-only

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

import pxeapp.db

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AT_ONCE = 1000
CONTENT = ("at", "actor", "action", "subject", "details", "outcome", "address", "request_id", "before", "after")
KEPT = ("id", *CONTENT)
REFUSED = "the audit is append-only"
PRUNED = "(SELECT coalesce(max(through), 0) FROM audit_prunes)"
CHANGED = " OR ".join(f'NEW."{name}" IS NOT OLD."{name}"' for name in KEPT)
BEGIN = f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
SQLITE = (
    f"CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit WHEN OLD.number IS NOT NULL OR {CHANGED} {BEGIN}",
    f"CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit WHEN OLD.number IS NULL OR OLD.number > {PRUNED} {BEGIN}",
    f"CREATE TRIGGER audit_prunes_are_not_changed BEFORE UPDATE ON audit_prunes {BEGIN}",
    f"CREATE TRIGGER audit_prunes_are_not_deleted BEFORE DELETE ON audit_prunes {BEGIN}",
)
SQLITE_DOWN = tuple(
    f"DROP TRIGGER IF EXISTS {name}"
    for name in (
        "audit_is_not_changed",
        "audit_is_not_deleted",
        "audit_prunes_are_not_changed",
        "audit_prunes_are_not_deleted",
    )
)
CHAIN = "ARRAY['number','previous','hash']"
RAISE = f"RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'integrity_constraint_violation'"
POSTGRESQL = (
    f"""CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'UPDATE' AND OLD.number IS NULL AND to_jsonb(NEW) - {CHAIN} = to_jsonb(OLD) - {CHAIN} THEN RETURN NEW; END IF;
IF TG_OP = 'DELETE' AND OLD.number <= {PRUNED} THEN RETURN OLD; END IF;
{RAISE}; END $$""",
    f"CREATE FUNCTION audit_is_refused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {RAISE}; END $$",
    "CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_is_refused()",
    (
        "CREATE TRIGGER audit_prunes_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_prunes "
        "EXECUTE FUNCTION audit_is_refused()"
    ),
)
POSTGRESQL_DOWN = (
    "DROP TRIGGER IF EXISTS audit_is_kept ON audit",
    "DROP TRIGGER IF EXISTS audit_is_not_emptied ON audit",
    "DROP TRIGGER IF EXISTS audit_prunes_are_kept ON audit_prunes",
    "DROP FUNCTION IF EXISTS audit_is_append_only",
    "DROP FUNCTION IF EXISTS audit_is_refused",
)
USER_COLUMNS = (
    "projects", "must_change_password", "password_until", "last_sign_in_at", "source", "external_id", "totp_secret",
    "totp_pending", "totp_step", "recovery_hashes",
)  # fmt: skip
AUDIT_COLUMNS = ("outcome", "address", "request_id", "before", "after", "number", "previous", "hash")


def _moment() -> pxeapp.db.Timestamp:
    return pxeapp.db.Timestamp(timezone=True)


# What rows of before get; the models say it for new ones.
FILLED: dict[str, dict[str, Any]] = {
    "users": {
        "must_change_password": sa.Boolean(), "source": sa.String(10), "totp_secret": sa.Text(), "totp_pending": sa.Text(),
        "totp_step": sa.BigInteger(), "recovery_hashes": sa.JSON(),
    },
    "api_tokens": {"read_only": sa.Boolean()},
    "audit": {
        "outcome": sa.String(8), "address": sa.String(45), "request_id": sa.String(64), "previous": sa.String(64), "hash": sa.String(64),
    },
}  # fmt: skip


def upgrade() -> None:
    with op.batch_alter_table("machines") as machines:
        machines.add_column(sa.Column("project", sa.String(63), nullable=True))
        machines.create_index(op.f("ix_machines_project"), ["project"])
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("projects", sa.JSON(), nullable=True))
        users.add_column(sa.Column("must_change_password", sa.Boolean(), nullable=False, server_default=sa.false()))
        users.add_column(sa.Column("password_until", _moment(), nullable=True))
        users.add_column(sa.Column("last_sign_in_at", _moment(), nullable=True))
        users.add_column(sa.Column("source", sa.String(10), nullable=False, server_default="local"))
        users.add_column(sa.Column("external_id", sa.String(512), nullable=True))
        users.add_column(sa.Column("totp_secret", sa.Text(), nullable=False, server_default=""))
        users.add_column(sa.Column("totp_pending", sa.Text(), nullable=False, server_default=""))
        users.add_column(sa.Column("totp_step", sa.BigInteger(), nullable=False, server_default="0"))
        users.add_column(sa.Column("recovery_hashes", sa.JSON(), nullable=False, server_default="[]"))
        users.create_unique_constraint(op.f("uq_users_external_id"), ["external_id"])
    with op.batch_alter_table("api_tokens") as tokens:
        tokens.add_column(sa.Column("projects", sa.JSON(), nullable=True))
        tokens.add_column(sa.Column("read_only", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "user_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=True),
        sa.Column("previous_until", _moment(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("method", sa.String(10), nullable=False),
        sa.Column("second_factor_due", sa.Boolean(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("seen_at", _moment(), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("browser", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_sessions")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_user_sessions_secret_hash")),
        sa.UniqueConstraint("previous_hash", name=op.f("uq_user_sessions_previous_hash")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_sessions_user_id"), ondelete="CASCADE"),
    )
    op.create_index(op.f("ix_user_sessions_user_id"), "user_sessions", ["user_id"])
    op.create_index(op.f("ix_user_sessions_seen_at"), "user_sessions", ["seen_at"])
    op.create_table(
        "sign_in_tries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(120), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_tries")),
    )
    op.create_index(op.f("ix_sign_in_tries_key_at"), "sign_in_tries", ["key", "at"])
    op.create_index(op.f("ix_sign_in_tries_at"), "sign_in_tries", ["at"])
    op.create_table(
        "audit_prunes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_prunes")),
    )
    with op.batch_alter_table("audit") as audit:
        audit.add_column(sa.Column("outcome", sa.String(8), nullable=False, server_default="done"))
        audit.add_column(sa.Column("address", sa.String(45), nullable=False, server_default=""))
        audit.add_column(sa.Column("request_id", sa.String(64), nullable=False, server_default=""))
        audit.add_column(sa.Column("before", sa.JSON(), nullable=True))
        audit.add_column(sa.Column("after", sa.JSON(), nullable=True))
        audit.add_column(sa.Column("number", sa.BigInteger(), nullable=True))
        audit.add_column(sa.Column("previous", sa.String(64), nullable=False, server_default=""))
        audit.add_column(sa.Column("hash", sa.String(64), nullable=False, server_default=""))
        audit.create_unique_constraint(op.f("uq_audit_number"), ["number"])
        audit.create_index(op.f("ix_audit_at"), ["at"])
        for column in ("actor", "action", "outcome"):
            audit.create_index(op.f(f"ix_audit_{column}_id"), [column, "id"])
    for table, columns in FILLED.items():
        with op.batch_alter_table(table) as batch:
            for name, kind in columns.items():
                batch.alter_column(name, existing_type=kind, existing_nullable=False, server_default=None)
    _chain()
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    for statement in SQLITE_DOWN if op.get_bind().dialect.name == "sqlite" else POSTGRESQL_DOWN:
        op.execute(statement)
    with op.batch_alter_table("audit") as audit:
        for column in ("actor", "action", "outcome"):
            audit.drop_index(op.f(f"ix_audit_{column}_id"))
        audit.drop_index(op.f("ix_audit_at"))
        audit.drop_constraint(op.f("uq_audit_number"), type_="unique")
        for column in reversed(AUDIT_COLUMNS):
            audit.drop_column(column)
    for name in ("audit_prunes", "sign_in_tries", "user_sessions"):
        op.drop_table(name)
    with op.batch_alter_table("api_tokens") as tokens:
        tokens.drop_column("read_only")
        tokens.drop_column("projects")
    with op.batch_alter_table("users") as users:
        users.drop_constraint(op.f("uq_users_external_id"), type_="unique")
        for column in reversed(USER_COLUMNS):
            users.drop_column(column)
    with op.batch_alter_table("machines") as machines:
        machines.drop_index(op.f("ix_machines_project"))
        machines.drop_column("project")


def _chain() -> None:
    """Give the rows that there are their places, in their order."""
    none_as_null = sa.JSON(none_as_null=True)
    kinds: dict[str, Any] = {
        "at": pxeapp.db.Timestamp(),
        "details": sa.JSON(),
        "before": none_as_null,
        "after": none_as_null,
    }
    audit = sa.table(
        "audit", sa.column("id", sa.Integer), sa.column("number", sa.BigInteger), sa.column("previous"), sa.column("hash"),
        *(sa.column(name, kinds.get(name, sa.String())) for name in CONTENT),
    )  # fmt: skip
    connection = op.get_bind()
    place = sa.update(audit).where(audit.c.id == sa.bindparam("row"))
    number, previous, after = 0, "", 0
    while True:
        part = (
            sa.select(audit.c.id, *(audit.c[name] for name in CONTENT)).where(audit.c.id > after).order_by(audit.c.id)
        )
        rows = connection.execute(part.limit(AT_ONCE)).all()
        if not rows:
            return
        places = []
        for row in rows:
            number += 1
            said = {name: row._mapping[name] for name in CONTENT}
            said["at"] = said["at"].isoformat()
            text = json.dumps([number, previous, said], sort_keys=True, separators=(",", ":"))
            found = hashlib.sha256(text.encode()).hexdigest()
            places.append({"row": row.id, "number": number, "previous": previous, "hash": found})
            previous = found
        connection.execute(
            place.values(number=sa.bindparam("number"), previous=sa.bindparam("previous"), hash=sa.bindparam("hash")),
            places,
        )
        after = rows[-1].id
