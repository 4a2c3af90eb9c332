"""`pxeapp dhcp`: dnsmasq."""

from __future__ import annotations

import click

from pxeapp import config, wiring
from pxeapp.errors import ConfigError
from pxeapp.processes import beating, log_to_stdout, stop_event
from pxeapp.provisioning.dhcp_process import DhcpProcess


@click.command()
@beating.option
def dhcp(beat: int | None) -> None:
    """dnsmasq, configured from our networks and machines."""
    log_to_stdout()
    settings = config.load()
    if settings.dhcp == "off":
        raise ConfigError("PXEAPP_DHCP is off, so there is no DHCP to run.", hint="Use proxy or full.")
    stop = stop_event()
    beating.Heart(beat).begin(stop)  # of this process; of dnsmasq only that it runs is known
    DhcpProcess(wiring.create_provisioner(settings)).run(stop)
