"""The `pxeapp` command: it only gathers the commands that the capabilities bring."""

from __future__ import annotations

import sys

import click

from pxeapp import __version__
from pxeapp.bmc.commands import bmc_worker
from pxeapp.boot.commands import boot_programs, dhcp_snippet
from pxeapp.errors import PxeError
from pxeapp.software.commands import front, mirror_door, release


class _Speaking(click.Group):
    """Turns our errors into their sentence and exit code 1; a traceback is for bugs only."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PxeError as error:
            click.echo(f"pxeapp: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Speaking, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Provision bare metal: netboot, install, bring up and keep servers."""


main.add_command(bmc_worker)
for _command in (release, front, mirror_door, dhcp_snippet, boot_programs):
    main.add_command(_command)
