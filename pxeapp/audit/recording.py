"""Writing a row: in the change's own transaction, so that neither exists without the other."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.audit.models import AuditRow

DONE, REFUSED = "done", "refused"
ADDED = "audited"  # in a session's info: there are rows that have no place in the chain yet
NOISE = frozenset({"version", "updated_at"})  # change with every change and say nothing of it
MASK = "…"
MASKED = ("", "***")  # nothing in it to hide: empty, or a sealed value as it is shown anywhere
_SECRET = re.compile(r"passw|secret|passphrase|private|credential|api_key|^token$|recovery", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request came from."""

    address: str = ""
    request_id: str = ""


NOWHERE = Source()  # a worker or a command; no request
_source: ContextVar[Source] = ContextVar("audit_source", default=NOWHERE)


def came_from(source: Source) -> None:
    """From here on, in this thread, rows are of this request."""
    _source.set(source)


def record(
    session: Session,
    *,
    at: dt.datetime,
    actor: str,
    action: str,
    subject: str,
    outcome: str = DONE,
    before: Any = None,
    after: Any = None,
    **details: Any,
) -> None:
    """Add a row to the transaction. Never pass a secret; what is named like one is masked all the same."""
    source = _source.get()
    session.add(
        AuditRow(
            at=at,
            actor=actor[:200],
            action=action[:100],
            subject=subject[:200],
            outcome=outcome,
            before=_masked(before),
            after=_masked(after),
            details=_masked(details),
            address=source.address[:45],
            request_id=source.request_id[:64],
        )
    )
    session.info[ADDED] = True


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    """`before` and `after` for a row: what differs between two showings of the same thing, and nothing else.

    None: it was not there before, or is not any more; the other showing then stands as a whole.
    """
    if before is None or after is None:
        return {"before": before, "after": after}
    names = [name for name in {**before, **after} if name not in NOISE and before.get(name) != after.get(name)]
    return {
        "before": {name: before.get(name) for name in names},
        "after": {name: after.get(name) for name in names},
    }


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            str(name): MASK
            if isinstance(inner, str) and inner not in MASKED and _SECRET.search(str(name))
            else _masked(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in value]
    return value
