"""The `pxeapp` command: a table of the commands that the capabilities bring, and of where each can be used."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

import click

from pxeapp import __version__, config
from pxeapp.accounts.actor import HERE, IN_PROCESS, Actor
from pxeapp.client import Appliance, Chosen, Unreachable, chosen, profiles
from pxeapp.client.profiles import Profile
from pxeapp.commandline import ACTOR, loading
from pxeapp.errors import Conflict, Forbidden, Invalid, PxeError, Unauthenticated

# Command -> where it lies. Loaded when it is called: a process that only serves TFTP needs no API, no pages and no BMC
# driver, and `pxeapp serve` starts one process per part.
COMMANDS: dict[str, str] = {
    "serve": "pxeapp.processes.serve:serve",
    "web": "pxeapp.processes.web:web",
    "node": "pxeapp.processes.node:node",
    "front": "pxeapp.software.front.commands:front",
    "worker": "pxeapp.processes.worker:worker",
    "bmc-worker": "pxeapp.bmc.commands:bmc_worker",
    "software-worker": "pxeapp.processes.software_worker:software_worker",
    "console": "pxeapp.consoles.commands:console",
    "tftp": "pxeapp.processes.tftp:tftp",
    "dhcp": "pxeapp.processes.dhcp:dhcp",
    "db": "pxeapp.migrations.commands:db",
    "login": "pxeapp.client.commands:login",
    "logout": "pxeapp.client.commands:logout",
    "profile": "pxeapp.client.commands:profile",
    "user": "pxeapp.accounts.commands:user",
    "token": "pxeapp.accounts.commands:token",
    "audit": "pxeapp.accounts.audit_commands:audit",
    "machine": "pxeapp.machine_commands:machine",
    "deployment": "pxeapp.provisioning.deployment_commands:deployment",
    "rollout": "pxeapp.rollouts.commands:rollout",
    "job": "pxeapp.jobs.commands:job",
    "check": "pxeapp.provisioning.commands:check",
    "render": "pxeapp.provisioning.commands:render",
    "cluster": "pxeapp.provisioning.cluster_commands:cluster",
    "cloud": "pxeapp.clouds.commands:cloud",
    "ssh": "pxeapp.nodes.commands:ssh",
    "variables": "pxeapp.provisioning.effective_commands:variables",
    "release": "pxeapp.software.commands:release",
    "repository": "pxeapp.software.repositories.commands:repository",
    "media": "pxeapp.software.isos.commands:media",
    "software": "pxeapp.software.task_commands:software",
    "snapshot": "pxeapp.software.snapshots.commands:snapshot",
    "channel": "pxeapp.software.snapshots.commands:channel",
    "bundle": "pxeapp.software.bundles.commands:bundle",
    "mirror": "pxeapp.software.mirrors.commands:mirror",
    "cache": "pxeapp.software.cache.commands:cache",
    "mirror-door": "pxeapp.software.front.commands:mirror_door",
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


class Where(Enum):
    """Where a command can be used."""

    ANYWHERE = "here and on an appliance elsewhere, through the same API"
    HOST = "on the appliance itself only: it needs its files, its network or its database"
    PROCESS = "one of the appliance's own processes, which take no notice of profiles"
    CLIENT = "of the command line itself"


# Every command, by its first words; what is said of more words goes before what is said of fewer.
WHERE: dict[str, Where] = {
    **dict.fromkeys(
        ("serve", "web", "node", "front", "worker", "bmc-worker", "software-worker", "console", "tftp", "dhcp",
         "mirror-door"),
        Where.PROCESS,
    ),
    **dict.fromkeys(("login", "logout", "profile", "completion"), Where.CLIENT),
    **dict.fromkeys(
        ("db", "dhcp-snippet", "boot-programs", "rack", "backup", "restore", "doctor", "audit verify", "audit prune",
         "release add-directory", "release add-url", "release add-ubuntu", "release add-debian", "rollout rehearse"),
        Where.HOST,
    ),
    **dict.fromkeys(
        ("cache", "user", "token", "audit", "machine", "deployment", "rollout", "job", "check", "render", "cluster",
         "variables", "release", "repository", "snapshot", "channel", "bundle", "software", "mirror", "media",
         "inventory", "netbox", "diff", "given", "cloud", "ssh", "observe", "resume"),
        Where.ANYWHERE,
    ),
}  # fmt: skip
MOST_PROBLEMS = 50
# As diff's: 1 says that there is a difference, so that an error is 2.
FAILS_WITH = {"given": 2, "diff": 2}
FAILED, UNREACHABLE, NOT_PERMITTED, INTERRUPTED = 1, 4, 5, 130


def where(path: str) -> Where:
    """Of a command, as `release add-debian`."""
    words = path.split()
    for count in range(len(words), 0, -1):
        if (found := WHERE.get(" ".join(words[:count]))) is not None:
            return found
    return Where.HOST  # what nobody has thought about is asked of no appliance elsewhere


class _Main(click.Group):
    """Loads a command when it is called, and turns our errors into their sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module, _, attribute = COMMANDS.get(cmd_name, "").partition(":")
        if not module:
            return None
        with loading():
            found: click.Command = getattr(importlib.import_module(module), attribute)
        _hold_to_the_table(found, cmd_name)
        return found

    def invoke(self, ctx: click.Context) -> object:
        failed_with = FAILED
        try:
            return super().invoke(ctx)
        except PxeError as error:
            click.echo(f"pxeapp: {error}", err=True)
            if isinstance(error, Invalid):
                for problem in error.problems[:MOST_PROBLEMS]:
                    click.echo(f"  {problem}", err=True)
                if len(error.problems) > MOST_PROBLEMS:
                    click.echo(f"  ... and {len(error.problems) - MOST_PROBLEMS} more", err=True)
            failed_with = exit_code(error)
        except BrokenPipeError:
            raise  # whoever read our output has seen enough; click ends quietly
        except OSError as error:
            click.echo(f"pxeapp: {error.filename or 'A file'} cannot be used: {error.strerror or error}.", err=True)
        except (KeyError, TypeError):
            if not (theirs := _other_version(ctx)):
                raise
            said = f"The appliance is pxeapp {theirs} and answers otherwise than this command, {__version__}, expects."
            click.echo(f"pxeapp: {said} Use the command of its version.", err=True)
        except (KeyboardInterrupt, click.Abort):
            click.echo(err=True)
            failed_with = INTERRUPTED
        except Exception as error:
            if not (cause := _of_the_database(error)):
                raise
            click.echo(f"pxeapp: The database cannot be used: {cause}. For a new one run: pxeapp db upgrade", err=True)
        sys.exit(FAILS_WITH.get(ctx.invoked_subcommand or "", FAILED) if failed_with == FAILED else failed_with)


def _of_the_database(error: Exception) -> str:
    """What the database says is wrong; empty for an error that is none of the database's."""
    loaded = sys.modules.get("sqlalchemy.exc")  # cost: a third of a second, and an appliance elsewhere needs none
    if loaded is None or not isinstance(error, loaded.SQLAlchemyError):
        return ""
    # Never the statement with its parameters: they may hold what nobody should read.
    return str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]


def _other_version(ctx: click.Context) -> str:
    """Of the appliance elsewhere that was asked; empty where it is ours, or is not to be learnt."""
    meant = ctx.obj
    if not isinstance(meant, Chosen) or not meant.remote:
        return ""
    try:
        theirs = str(meant.appliance().get("/appliance")["version"])
    except (PxeError, KeyError, TypeError):
        return ""
    return "" if theirs == __version__ else theirs


def exit_code(error: PxeError) -> int:
    """What a script is told of an error."""
    if isinstance(error, Unreachable):
        return UNREACHABLE
    return NOT_PERMITTED if isinstance(error, Forbidden | Unauthenticated) else FAILED


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--profile", default="", metavar="NAME", help="The appliance of this profile; see: pxeapp login.")
@click.option("--local", is_flag=True, help="This host's own appliance, whatever profile is chosen.")
@click.pass_context
def main(ctx: click.Context, profile: str, local: bool) -> None:  # noqa: FBT001 - click passes flags as arguments
    """Provision bare metal: netboot, install, bring up and keep servers."""
    if profile and local:
        raise click.UsageError("--profile and --local say two different things.")
    kind = WHERE.get(ctx.invoked_subcommand or "")
    if kind is Where.PROCESS and profile:
        raise Conflict(f"`pxeapp {ctx.invoked_subcommand}` runs here.", hint="Leave --profile out.")
    found = None
    if kind not in (Where.PROCESS, Where.CLIENT) and not local:
        found = profiles.wanted(config.load_client(), profile)
    ctx.obj = Chosen(_here, remote=False, name=profile)
    if found is not None:
        ctx.obj = Chosen(_elsewhere(found), remote=True, name=found.name)
    ctx.call_on_close(ctx.obj.close)


def _here() -> Appliance:
    from pxeapp.client.local import Local  # an appliance elsewhere needs none of this

    def make() -> Any:
        return importlib.import_module("pxeapp.own_api").OwnApi()

    return Appliance(Local(make, {IN_PROCESS: Actor(ACTOR, "admin", by=HERE)}))


def _elsewhere(found: Profile) -> Callable[[], Appliance]:
    def make() -> Appliance:
        from pxeapp.client.http import Http  # cost: and this host's own needs none of this

        return Appliance(Http(found.url, found.token, ca_file=found.ca_file))

    return make


def _hold_to_the_table(command: click.Command, path: str) -> None:
    """A command that needs the appliance's own host refuses when another appliance is meant."""
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            _hold_to_the_table(child, f"{path} {name}")
    elif where(path) is Where.HOST and command.callback and not isinstance(command.callback, functools.partial):
        command.callback = functools.partial(_only_here, command.callback, path)


def _only_here(callback: Callable[..., Any], path: str, *args: Any, **said: Any) -> Any:
    meant = chosen()
    if meant.remote:
        raise Conflict(
            f"`pxeapp {path}` works on the appliance itself only, and the profile {meant.name} is chosen.",
            hint=f"Run it there, or for this host: pxeapp --local {path}",
        )
    return callback(*args, **said)
