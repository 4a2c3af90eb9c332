"""The triggers that make the audit append-only, for either database.

A row may be written to once more, by the end of its own transaction, which gives it its place in the chain. Rows may go
only when they were exported and `audit_prunes` says so, a table from which nothing ever goes.
"""

from __future__ import annotations

KEPT = ("id", "at", "actor", "action", "subject", "details", "outcome", "address", "request_id", "before", "after")
_REFUSED = "the audit is append-only"
_CHANGED = " OR ".join(f'NEW."{name}" IS NOT OLD."{name}"' for name in KEPT)
_PRUNED = "(SELECT coalesce(max(through), 0) FROM audit_prunes)"


def _sqlite(name: str, table: str, verb: str, when: str) -> str:
    return f"CREATE TRIGGER {name} BEFORE {verb} ON {table} {when}BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"


SQLITE: tuple[str, ...] = (
    _sqlite("audit_is_not_changed", "audit", "UPDATE", f"WHEN OLD.number IS NOT NULL OR {_CHANGED} "),
    _sqlite("audit_is_not_deleted", "audit", "DELETE", f"WHEN OLD.number IS NULL OR OLD.number > {_PRUNED} "),
    _sqlite("audit_prunes_are_not_changed", "audit_prunes", "UPDATE", ""),
    _sqlite("audit_prunes_are_not_deleted", "audit_prunes", "DELETE", ""),
)
SQLITE_DOWN: tuple[str, ...] = (
    "DROP TRIGGER IF EXISTS audit_is_not_changed",
    "DROP TRIGGER IF EXISTS audit_is_not_deleted",
    "DROP TRIGGER IF EXISTS audit_prunes_are_not_changed",
    "DROP TRIGGER IF EXISTS audit_prunes_are_not_deleted",
)

_CALL = "EXECUTE FUNCTION audit_is"
_CHAIN = "ARRAY['number','previous','hash']"
_RAISE = f"RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'integrity_constraint_violation'"
POSTGRESQL: tuple[str, ...] = (
    f"""CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'UPDATE' AND OLD.number IS NULL AND to_jsonb(NEW) - {_CHAIN} = to_jsonb(OLD) - {_CHAIN}
THEN RETURN NEW; END IF;
IF TG_OP = 'DELETE' AND OLD.number <= {_PRUNED} THEN RETURN OLD; END IF;
{_RAISE}; END $$""",
    f"CREATE FUNCTION audit_is_refused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_RAISE}; END $$",
    f"CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW {_CALL}_append_only()",
    f"CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit {_CALL}_refused()",
    f"CREATE TRIGGER audit_prunes_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_prunes {_CALL}_refused()",
)
POSTGRESQL_DOWN: tuple[str, ...] = (
    "DROP TRIGGER IF EXISTS audit_is_kept ON audit",
    "DROP TRIGGER IF EXISTS audit_is_not_emptied ON audit",
    "DROP TRIGGER IF EXISTS audit_prunes_are_kept ON audit_prunes",
    "DROP FUNCTION IF EXISTS audit_is_append_only",
    "DROP FUNCTION IF EXISTS audit_is_refused",
)
