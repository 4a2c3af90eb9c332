"""`pxeapp tftp`: the TFTP server."""

from __future__ import annotations

import click

from pxeapp import config, wiring
from pxeapp.processes import log_to_stdout, stop_event
from pxeapp.provisioning.tftp_process import TftpProcess


@click.command()
def tftp() -> None:
    """The TFTP server for boot loaders."""
    log_to_stdout()
    TftpProcess(wiring.create_provisioner(config.load())).run(stop_event())
