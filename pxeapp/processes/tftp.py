"""`pxeapp tftp`: the TFTP server."""

from __future__ import annotations

import click

from pxeapp import config, wiring
from pxeapp.processes import beating, log_to_stdout, stop_event
from pxeapp.provisioning.tftp_process import TftpProcess


@click.command()
@beating.option
def tftp(beat: int | None) -> None:
    """The TFTP server for boot loaders."""
    log_to_stdout()
    TftpProcess(wiring.create_provisioner(config.load()), beat=beating.Heart(beat).beat).run(stop_event())
