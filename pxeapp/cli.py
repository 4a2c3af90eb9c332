"""The `pxeapp` command: a table of the commands that the capabilities bring."""

from __future__ import annotations

import importlib
import sys

import click
from sqlalchemy.exc import SQLAlchemyError

from pxeapp import __version__
from pxeapp.errors import Invalid, PxeError

# Command -> where it lies. Loaded when it is called: a process that only serves TFTP needs no API, no pages and no BMC
# driver, and `pxeapp serve` starts one process per part.
COMMANDS: dict[str, str] = {
    "serve": "pxeapp.processes.serve:serve",
    "web": "pxeapp.processes.web:web",
    "node": "pxeapp.processes.node:node",
    "front": "pxeapp.software.commands:front",
    "worker": "pxeapp.processes.worker:worker",
    "bmc-worker": "pxeapp.bmc.commands:bmc_worker",
    "console": "pxeapp.consoles.commands:console",
    "tftp": "pxeapp.processes.tftp:tftp",
    "dhcp": "pxeapp.processes.dhcp:dhcp",
    "db": "pxeapp.migrations.commands:db",
    "user": "pxeapp.accounts.commands:user",
    "token": "pxeapp.accounts.commands:token",
    "audit": "pxeapp.accounts.audit_commands:audit",
    "machine": "pxeapp.machine_commands:machine",
    "check": "pxeapp.provisioning.commands:check",
    "render": "pxeapp.provisioning.commands:render",
    "cluster": "pxeapp.provisioning.cluster_commands:cluster",
    "variables": "pxeapp.provisioning.effective_commands:variables",
    "release": "pxeapp.software.commands:release",
    "mirror-door": "pxeapp.software.commands:mirror_door",
    "inventory": "pxeapp.machines.inventory_commands:inventory",
    "netbox": "pxeapp.netbox.commands:netbox",
    "dhcp-snippet": "pxeapp.boot.commands:dhcp_snippet",
    "boot-programs": "pxeapp.boot.commands:boot_programs",
    "rack": "pxeapp.lab.commands:rack",
    "diff": "pxeapp.diff_command:diff",
    "given": "pxeapp.provisioning.given_commands:given",
    "observe": "pxeapp.appliance.commands:observe",
    "resume": "pxeapp.appliance.commands:resume",
    "backup": "pxeapp.backup.commands:backup",
    "restore": "pxeapp.backup.commands:restore",
    "doctor": "pxeapp.doctor.commands:doctor",
    "completion": "pxeapp.completion_command:completion",
}
MOST_PROBLEMS = 50
# As diff's: 1 says that there is a difference, so that an error is 2.
FAILS_WITH = {"given": 2, "diff": 2}


class _Main(click.Group):
    """Loads a command when it is called, and turns our errors into their sentence and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module, _, attribute = COMMANDS.get(cmd_name, "").partition(":")
        return getattr(importlib.import_module(module), attribute) if module else None

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
        sys.exit(FAILS_WITH.get(ctx.invoked_subcommand or "", 1))


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Provision bare metal: netboot, install, bring up and keep servers."""
