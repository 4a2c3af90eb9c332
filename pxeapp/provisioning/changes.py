"""What changes about an attempt when a boot storm reports: prepared statements, each with the rows that it must touch.

They go through `GroupCommit.change`: all of a crowd's together, each attempt's all or none, and only if the attempt
still stands where it was seen. The rules are those of steps.py, grants.py and tokens.py.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Protocol

from sqlalchemy import bindparam, delete, exists, insert, select, text, update

from pxeapp.commits import Change
from pxeapp.machines import timeline
from pxeapp.prepared import Prepared
from pxeapp.provisioning import grants, steps, tokens
from pxeapp.provisioning.keeping import UNUSED, Kept
from pxeapp.provisioning.models import Deployment, GivenBase, NodeToken, Served
from pxeapp.provisioning.steps import Step

_TOKEN_USED = Prepared(
    update(NodeToken)
    .where(NodeToken.token_hash == bindparam("hash"), NodeToken.uses_left > 0)
    .values(uses_left=NodeToken.uses_left - 1)
)
_REACHED = Prepared(
    update(Deployment)
    .where(
        Deployment.id == bindparam("deployment"),
        Deployment.outcome.is_(None),
        Deployment.step == bindparam("seen"),
    )
    .values(
        step=bindparam("step"),
        step_since=bindparam("now"),
        step_deadline=bindparam("step_deadline"),
        due_at=bindparam("now"),
        steps=bindparam("steps"),
    )
)
_SAME = (
    Served.deployment_id == bindparam("deployment"),
    Served.kind == bindparam("kind"),
    Served.sha256 == bindparam("sha256"),
)
_SERVED = Prepared(
    insert(Served)
    .from_select(
        ["deployment_id", "at", "kind", "sha256", "size", "base", "record"],
        select(
            bindparam("deployment", type_=Served.deployment_id.type),
            bindparam("now", type_=Served.at.type),
            bindparam("kind", type_=Served.kind.type),
            bindparam("sha256", type_=Served.sha256.type),
            bindparam("size", type_=Served.size.type),
            bindparam("base", type_=Served.base.type),
            bindparam("record", type_=Served.record.type),
        ).where(~exists().where(*_SAME)),
    )
    .inline()
)
_BASE = Prepared(  # both databases know this, SQLAlchemy has it for each by another name
    text("INSERT INTO given_bases (sha256, at, content) VALUES (:sha256, :now, :content) ON CONFLICT DO NOTHING")
    .bindparams(
        bindparam("sha256", type_=GivenBase.sha256.type),
        bindparam("now", type_=GivenBase.at.type),
        bindparam("content", type_=GivenBase.content.type),
    )
)  # fmt: skip
_UNUSED_BASES = Prepared(
    delete(GivenBase).where(GivenBase.at < bindparam("before"), ~exists().where(Served.base == GivenBase.sha256))
)
_HEARD = Prepared(
    update(Deployment)
    .where(Deployment.id == bindparam("deployment"), Deployment.outcome.is_(None), Deployment.step == bindparam("seen"))
    .values(step_deadline=bindparam("step_deadline"))
)
_SAID = Prepared(update(Deployment).where(Deployment.id == bindparam("deployment")).values(progress=bindparam("words")))
_DISARMED = Prepared(update(Deployment).where(Deployment.id == bindparam("deployment")).values(grant=grants.DISARMED))
_CONFIG_RETIRED = Prepared(
    delete(NodeToken).where(NodeToken.deployment_id == bindparam("deployment"), NodeToken.scope == tokens.CONFIG)
)


class Stands(Protocol):
    """An attempt as it was read: where it stands, and its list of steps as JSON text."""

    @property
    def id(self) -> int: ...
    @property
    def machine_id(self) -> int: ...
    @property
    def step(self) -> str: ...
    @property
    def steps(self) -> str: ...
    @property
    def deadline(self) -> dt.datetime: ...


def token_used(token_hash: str) -> Change:
    """One use of the token. An attempt that ends takes its token along, so this holds only while it runs."""
    return Change(_TOKEN_USED, {"hash": token_hash})


def served(deployment_id: int, kept: Kept, *, now: dt.datetime) -> tuple[Change, ...]:
    """The exact bytes that a machine was given, by their hash; the same bytes are recorded once."""
    values = {
        "deployment": deployment_id,
        "kind": kept.kind,
        "sha256": kept.sha256,
        "size": kept.size,
        "base": kept.base.sha256,
        "record": kept.record,
        "now": now,
    }
    row = Change(_SERVED, values, rows=None)
    if kept.base.kept:
        return (row,)
    base = {"sha256": kept.base.sha256, "content": kept.base.sealed, "now": kept.base.at}
    return row, Change(_BASE, base, rows=None), Change(_UNUSED_BASES, {"before": now - UNUSED}, rows=None)


def reached(found: Stands, entry: dict[str, Any], *, now: dt.datetime) -> tuple[Change, ...]:
    """The step forward and its line in the timeline, if the deployment still stands where it was seen."""
    moved = {
        "deployment": found.id,
        "seen": found.step,
        "step": entry["step"],
        "now": now,
        "step_deadline": steps.deadline_of(Step(entry["step"]), found.deadline, now=now),
        "steps": [*json.loads(found.steps), entry],
    }
    line = noted(
        found,
        now=now,
        source=entry["source"],
        kind=entry["step"],
        message=entry["message"],
        evidence=entry["evidence"],
    )
    return Change(_REACHED, moved), line


def noted(found: Stands, *, now: dt.datetime, source: str, kind: str, message: str, evidence: dict[str, Any]) -> Change:
    """A line in the timeline."""
    values = {
        "machine_id": found.machine_id,
        "deployment_id": found.id,
        "at": now,
        "source": source,
        "kind": kind,
        "message": message,
        "evidence": evidence,
    }
    return Change(timeline.NOTED, values)


def heard(found: Stands, *, now: dt.datetime) -> Change:
    """The patience with its present step begins anew, if it still stands there."""
    deadline = steps.deadline_of(Step(found.step), found.deadline, now=now)
    return Change(_HEARD, {"deployment": found.id, "seen": found.step, "step_deadline": deadline})


def said(found: Stands, words: str) -> Change:
    """The installer's last words."""
    return Change(_SAID, {"deployment": found.id, "words": words})


def disarmed(found: Stands) -> tuple[Change, ...]:
    """As `grants.disarm`: no netboot and no answer file from now on."""
    of = {"deployment": found.id}
    return Change(_DISARMED, of), Change(_CONFIG_RETIRED, of, rows=None)
