"""Preseed: what debian-installer is told, on its command line, in its file and by its script. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from pxeapp.answers import releases
from pxeapp.answers.spec import AnswerSpec
from pxeapp.machines import mac as macs
from pxeapp.templates import Templates

KIND = "preseed"
CONSOLE = "console=ttyS0,115200"


def render(spec: AnswerSpec, templates: Templates) -> str:
    """The whole preseed for a machine in its role. Terse: every line costs the installer a moment."""
    mirror = urlsplit(spec.release.install_url)
    return templates.render(
        templates.first(f"preseeds/{spec.role}.cfg", "preseeds/base.cfg"),
        spec=spec,
        dialect=releases.debian(spec.release.family, spec.release.version),
        mirror_protocol=mirror.scheme or "http",
        mirror_host=mirror.netloc,
        mirror_path=mirror.path or "/",
    )


def script(spec: AnswerSpec, templates: Templates) -> str:
    """The script that early_command fetches: it reports, and later finishes the installed system."""
    dialect = releases.debian(spec.release.family, spec.release.version)
    return templates.render("preseeds/installer.sh", spec=spec, dialect=dialect)


def kernel_args(spec: AnswerSpec) -> str:
    """debian-installer's command line. What is behind `---` stays in the installed system."""
    words = [
        "auto=true",
        "priority=critical",
        f"url={spec.answer_url}/preseed",
        f"hostname={spec.hostname}",
        f"domain={spec.domain}",  # empty is an answer too: without it the installer asks
        "interface=auto",
        f"BOOTIF={macs.dashed(spec.boot.mac)}",
        "locale=C.UTF-8" if spec.locale.startswith("C") else f"locale={spec.locale}",
        f"keymap={spec.keyboard}",
        "DEBIAN_FRONTEND=noninteractive",
        "TERM=dumb",
        spec.release.kernel_args or CONSOLE,
        "---",
        CONSOLE,
    ]
    return " ".join(words)
