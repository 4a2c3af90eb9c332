"""How each file of a machine is made, by its kind: for whoever compares them and makes only those that can differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy.orm import Session

from pxeapp.answers import render
from pxeapp.answers.spec import AnswerSpec
from pxeapp.boot import grub, ipxe, pxelinux
from pxeapp.boot.spec import InstallBoot
from pxeapp.config import Settings
from pxeapp.machines.models import Machine
from pxeapp.provisioning import lifecycle
from pxeapp.templates import Templates

Maker = Callable[[], str]


def present(session: Session, machine: Machine) -> tuple[str | None, str | None]:
    """Release and role: of the running attempt, else the machine's own."""
    deployment = lifecycle.latest(session, machine.id)
    if deployment is not None and deployment.outcome is None:
        return deployment.release, deployment.role
    return machine.release, machine.role


def of_loader(settings: Settings, templates: Templates, boot: InstallBoot) -> dict[str, Maker]:
    """The scripts of the boot loaders."""
    return {
        "ipxe": lambda: ipxe.render(boot, templates, node_url=settings.node_url),
        "grub": lambda: grub.render(boot, templates),
        "pxelinux": lambda: pxelinux.render(boot, templates),
    }


def of_installer(templates: Templates, spec: AnswerSpec) -> dict[str, Maker]:
    """The answer files."""
    return {kind: partial(render.render, kind, spec, templates) for kind in render.kinds(spec.release.installer)}
