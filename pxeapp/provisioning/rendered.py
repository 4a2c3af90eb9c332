"""What a machine is given, for operators' eyes: every file of its release, tokens and hashes masked."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy.orm import Session

from pxeapp.answers import render
from pxeapp.boot import grub, ipxe, pxelinux
from pxeapp.config import Settings
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.models import Machine
from pxeapp.provisioning import lifecycle, plan
from pxeapp.software import releases
from pxeapp.templates import Templates

BOOT_KINDS = ("ipxe", "grub", "pxelinux")


def rendered(
    session: Session,
    settings: Settings,
    templates: Templates,
    machine: Machine,
    *,
    kind: str = "",
) -> list[dict[str, Any]]:
    """The files of the running attempt, or of the machine's release and role as they would be now."""
    deployment = lifecycle.latest(session, machine.id)
    release = deployment.release if deployment and deployment.outcome is None else machine.release
    role = deployment.role if deployment and deployment.outcome is None else machine.role
    if release is None or role is None:
        raise Invalid(
            f"{machine.name} has no release or no role, so there is nothing to render.",
            problems=[
                FieldProblem("release" if release is None else "role", "is not set.", "PATCH the machine first.")
            ],
        )
    row = releases.get(session, release)
    spec = plan.preview(session, settings, machine, release=release, role=role)
    kinds = [*BOOT_KINDS, *render.kinds(row.installer)]
    if kind and kind not in kinds:
        raise Invalid(
            f"{release} has no {kind!r}.", problems=[FieldProblem("kind", repr(kind), f"Use {', '.join(kinds)}.")]
        )
    boot = plan.boot_of(machine, row, spec)
    texts = {
        "ipxe": lambda: ipxe.render(boot, templates, node_url=settings.node_url),
        "grub": lambda: grub.render(boot, templates),
        "pxelinux": lambda: pxelinux.render(boot, templates),
    }
    found = []
    for name in kinds:
        if kind in ("", name):
            text = texts[name]() if name in texts else render.render(name, spec, templates)
            shown = render.mask(text, spec)
            found.append({"kind": name, "sha256": hashlib.sha256(shown.encode()).hexdigest(), "text": shown})
    return found
