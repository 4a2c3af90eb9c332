"""How each file of a machine is made, by its kind: for whoever checks, shows or compares them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pxeapp.answers import render
from pxeapp.answers.spec import AnswerSpec
from pxeapp.boot import grub, ipxe, pxelinux
from pxeapp.boot.spec import InstallBoot
from pxeapp.config import Settings
from pxeapp.templates import Templates

Maker = Callable[[], str]
BOOT_KINDS = ("ipxe", "grub", "pxelinux")


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
