"""The difference for all machines: what a page shows at once, or the job that looks at so many of them."""

from __future__ import annotations

from typing import Any

from pxeapp.api.context import actor, context, site
from pxeapp.db import now
from pxeapp.provisioning import comparing, diffs
from pxeapp.provisioning.diffs import Look
from pxeapp.provisioning.proposals import Proposal, Selection

MACHINES_NAMED = 20


def asked(proposal: Proposal) -> dict[str, Any]:
    """The difference; or `job`, whose progress stands in its place until it has ended. Raises Invalid."""
    own, selection = context(), Selection()
    with own.database.read() as session:
        look = Look(own.checker, site(session))
        if not comparing.takes_long(session, selection):
            return diffs.compare(session, look, proposal, selection, now=now()).to_dict(MACHINES_NAMED)
        diffs.check(session, look, proposal, selection, now=now())
    with own.database.write() as session:
        job = comparing.order(session, own.vault, proposal, selection, limit=MACHINES_NAMED, actor=actor(), now=now())
        return {"job": job.id}
