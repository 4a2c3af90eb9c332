"""Orders and what they brought, on the wire."""

from __future__ import annotations

from typing import Any

from pxeapp.bmc.models import BmcOrder, SelEntry


def order(row: BmcOrder | None) -> dict[str, Any] | None:
    """An order on the wire."""
    if row is None:
        return None
    return {
        "id": row.id, "kind": row.kind, "argument": row.argument, "outcome": row.outcome, "error_code": row.error_code,
        "error": row.error, "requested_by": row.requested_by, "requested_at": row.requested_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
    }  # fmt: skip


def entry(row: SelEntry) -> dict[str, Any]:
    """A line of the event log on the wire."""
    return {
        "id": row.id, "record": row.record, "at": row.at.isoformat() if row.at else None, "sensor": row.sensor,
        "event": row.event, "severity": row.severity, "asserted": row.asserted, "seen_at": row.seen_at.isoformat(),
        "raw": row.raw,
    }  # fmt: skip
