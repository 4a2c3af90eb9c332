"""The `pxeapp` command: it only gathers the commands that the capabilities bring."""

from __future__ import annotations

import sys

import click
from sqlalchemy.exc import SQLAlchemyError

from pxeapp import __version__
from pxeapp.accounts.commands import token, user
from pxeapp.bmc.commands import bmc_worker
from pxeapp.boot.commands import boot_programs, dhcp_snippet
from pxeapp.doctor.commands import doctor
from pxeapp.errors import Invalid, PxeError
from pxeapp.lab.commands import rack
from pxeapp.machine_commands import machine
from pxeapp.migrations.commands import db
from pxeapp.provisioning.commands import render
from pxeapp.serve import dhcp, node, serve, tftp, web, worker
from pxeapp.software.commands import front, mirror_door, release

MOST_PROBLEMS = 50


class _Speaking(click.Group):
    """Turns our errors into their sentence and exit code 1; a traceback is for bugs only."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PxeError as error:
            click.echo(f"pxeapp: {error}", err=True)
            if isinstance(error, Invalid):
                for problem in error.problems[:MOST_PROBLEMS]:
                    click.echo(f"  {problem}", err=True)
                if len(error.problems) > MOST_PROBLEMS:
                    click.echo(f"  ... and {len(error.problems) - MOST_PROBLEMS} more", err=True)
        except SQLAlchemyError as error:
            # Never the statement with its parameters: they may hold what nobody should read.
            cause = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
            click.echo(f"pxeapp: The database cannot be used: {cause}. For a new one run: pxeapp db upgrade", err=True)
        except BrokenPipeError:
            raise  # whoever read our output has seen enough; click ends quietly
        except OSError as error:
            click.echo(f"pxeapp: {error.filename or 'A file'} cannot be used: {error.strerror or error}.", err=True)
        sys.exit(1)


@click.group(cls=_Speaking, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Provision bare metal: netboot, install, bring up and keep servers."""


COMMANDS = (
    serve, web, node, front, worker, bmc_worker, tftp, dhcp,
    db, user, token, machine, render, release, mirror_door, dhcp_snippet, boot_programs, rack, doctor,
)  # fmt: skip
for _command in COMMANDS:
    main.add_command(_command)
