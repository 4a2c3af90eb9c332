"""Preseed: what debian-installer is told, on its command line, in its file and by its script. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from pxeapp.answers import releases
from pxeapp.answers import site as sites
from pxeapp.answers.console import consoles, installed, ours
from pxeapp.answers.network import netcfg
from pxeapp.answers.roles import work
from pxeapp.answers.spec import AnswerSpec, Card
from pxeapp.answers.storage import partman
from pxeapp.answers.storage.finding import finding
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
        work=work.of(spec, templates),
        dialect=releases.debian(spec.release.family, spec.release.version),
        mirror_protocol=mirror.scheme or "http",
        mirror_host=mirror.netloc,
        mirror_path=mirror.path or "/",
        proxy=spec.reach.via[spec.release.install_url],
        disks=_disks(spec),
    )


def script(spec: AnswerSpec, templates: Templates) -> str:
    """The script that early_command fetches: it reports, and later finishes the installed system."""
    dialect = releases.debian(spec.release.family, spec.release.version)
    spec = sites.filled(spec, templates)
    plan = spec.network
    return templates.render(
        "preseeds/installer.sh",
        spec=spec,
        work=work.of(spec, templates),
        dialect=dialect,
        network_files=netcfg.files(plan, uses_netplan=dialect.netplan) if plan else (),
        disks=_disks(spec),
        **finding(spec),
    )


def _disks(spec: AnswerSpec) -> partman.Recipe:
    dialect = releases.debian(spec.release.family, spec.release.version)
    return partman.recipe(spec.storage, dialect.filesystems[0])


def kernel_args(spec: AnswerSpec) -> str:
    """debian-installer's command line. What is behind `---` stays in the installed system.

    Whatever it must know before it has a network stands here: the preseed itself comes too late for it.
    """
    dialect = releases.debian(spec.release.family, spec.release.version)
    syslog = spec.site.remote_syslog
    words = [
        "auto=true",
        "priority=critical",
        f"url={spec.answer_url}/preseed",
        f"hostname={spec.hostname}",
        f"domain={spec.domain}",  # empty is an answer too: without it the installer asks
        "interface=auto",
        f"BOOTIF={macs.dashed(spec.boot.mac)}",
        *(netcfg.words(spec.network, over6=spec.over6) if spec.network else _static(spec.boot)),
        "locale=C.UTF-8" if spec.locale.startswith("C") else f"locale={spec.locale}",
        f"keymap={spec.keyboard}",
        *(["console-setup/ask_detect=false"] if dialect.ubuntu else []),
        "DEBIAN_FRONTEND=noninteractive",
        "TERM=dumb",
        *([f"log_host={syslog.host}", f"log_port={syslog.port}"] if syslog else []),
        *spec.site.installer_args(),
        consoles(spec.release.kernel_args, ours(spec.site, CONSOLE)),
        "---",
        installed(spec.site, CONSOLE, dialect),
    ]
    return " ".join(words)


def _static(card: Card) -> list[str]:
    if card.address is None:
        return []
    servers = " ".join(card.dns)
    return [
        "netcfg/disable_autoconfig=true",
        f"netcfg/get_ipaddress={card.ip}",
        f"netcfg/get_netmask={card.netmask}",
        f"netcfg/get_gateway={card.gateway or 'none'}",
        *([f'netcfg/get_nameservers="{servers}"'] if servers else []),
        "netcfg/confirm_static=true",
    ]
