"""Kickstart: what Anaconda is told, on its command line and in its file. Pure."""

from __future__ import annotations

from pxeapp.answers import releases
from pxeapp.answers import site as sites
from pxeapp.answers.console import consoles, installed, ours
from pxeapp.answers.network import dracut
from pxeapp.answers.network import kickstart as networks
from pxeapp.answers.roles import work
from pxeapp.answers.spec import AnswerSpec
from pxeapp.answers.storage import kickstart as disks
from pxeapp.answers.storage.finding import finding
from pxeapp.machines import mac as macs
from pxeapp.templates import Templates

KIND = "kickstart"
CONSOLE = "console=tty0 console=ttyS0,115200"


def render(spec: AnswerSpec, templates: Templates) -> str:
    """The whole kickstart for a machine in its role."""
    dialect = releases.enterprise(spec.release.family, spec.release.version)
    spec = sites.filled(spec, templates)
    return templates.render(
        templates.first(f"kickstarts/{spec.role}.ks", "kickstarts/base.ks"),
        spec=spec,
        work=work.of(spec, templates),
        dialect=dialect,
        append=installed(spec.site, CONSOLE, dialect),
        disks=disks.plan(spec.storage, dialect.filesystems[0]),
        **finding(spec),
        bootif=macs.dashed(spec.boot.mac),
        network_line=networks.line(spec.network, over6=spec.over6) if spec.network else "",
        network_files=networks.files(spec.network, dialect.connections) if spec.network else (),
    )


def kernel_args(spec: AnswerSpec) -> str:
    """Anaconda's command line. `inst.` before every option: EL9 and 10 read nothing else."""
    words = [
        f"inst.ks={spec.answer_url}/kickstart",
        "inst.ks.sendmac",
        "inst.ks.sendsn",
        f"inst.repo={spec.release.install_url}",
        "inst.nosave=input_ks",  # the file with its tokens is not copied to the installed system
        "inst.cmdline",  # a question that nobody answers is an error, not a wait
        *_network(spec),
        "rd.net.timeout.carrier=30",  # switch ports that take their time
        *_site(spec),
        consoles(spec.release.kernel_args, ours(spec.site, CONSOLE)),
    ]
    return " ".join(words)


def _network(spec: AnswerSpec) -> list[str]:
    if spec.network is not None:
        return dracut.words(spec.network, hostname=spec.hostname, over6=spec.over6)
    return ["ip=dhcp", f"BOOTIF={macs.dashed(spec.boot.mac)}"]


def _site(spec: AnswerSpec) -> list[str]:
    site = spec.site
    proxy, syslog = spec.reach.via[spec.release.install_url], site.remote_syslog
    return [
        *([f"inst.proxy={proxy}"] if proxy else []),
        *spec.reach.words(),
        *([f"inst.syslog={syslog.host}:{syslog.port}"] if syslog else []),
        *site.installer_args(),
    ]
