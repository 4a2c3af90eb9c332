"""What a rollout that patches would change, before it is made: its machines are asked, those alike told together."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pxeapp.db import Database
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.nodes.reach import Nodes
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts import service
from pxeapp.rollouts.spec import Spec
from pxeapp.rollouts.steps.patch_preview import PatchPreview, patch_preview

WITHIN_S = 90.0  # somebody waits for it; who has not answered by then is named


def dry_run(
    database: Database, tools: Tools, spec: Spec, *, now: dt.datetime, within_s: float = WITHIN_S
) -> PatchPreview:
    """Ask every machine of the plan over ssh; refuses what a preview refuses, and a rollout that patches nothing."""
    if spec.action.patch is None:
        fix = "Only a patch has a dry run of its packages."
        raise Invalid("There are no packages to look at.", problems=[FieldProblem("action", "is no patch.", fix)])
    with database.read() as session:
        found = service.preview(session, spec, tools=tools, now=now)
    machines = {number: each.name for number, each in found.machines.items()}
    nodes = Nodes(database, tools.vault)
    return patch_preview(nodes, machines, spec.action.patch, tools.settings.node_url, within_s=within_s)


def wire(found: PatchPreview) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "groups": [
            {
                "machines": list(group.machines),
                "tool": group.found.tool,
                "changes": [{"name": each.name, "old": each.old, "new": each.new} for each in group.found.changes],
                "held": list(group.found.held),
                "absent": list(group.found.absent),
            }
            for group in found.groups
        ],
        "not_asked": dict(found.not_asked),
    }
