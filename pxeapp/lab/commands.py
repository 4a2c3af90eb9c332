"""`pxeapp rack`: the virtual rack."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click

from pxeapp.errors import NotFound
from pxeapp.lab import spec as specs
from pxeapp.lab.fleet.fleet import LIMIT, Fleet
from pxeapp.lab.fleet.machine import Appliance, Pace
from pxeapp.lab.rack import Rack

folder_option = click.option(
    "--folder", type=click.Path(path_type=Path), default=Path(".run/rack"), show_default=True, help="The rack's state."
)


@click.group()
def rack() -> None:
    """A virtual rack to rehearse with: QEMU machines with real firmware and simulated BMCs."""


@rack.command("up")
@click.argument("file", type=click.Path(exists=True, path_type=Path), required=False)
@folder_option
def up(file: Path | None, folder: Path) -> None:
    """Build and start a rack from a YAML FILE, or the default one."""
    running = Rack.up(specs.load(file) if file else specs.default(), folder)
    how = "KVM" if "kvm" in running.acceleration else "emulation (no working KVM here)"
    click.echo(f"{len(running.spec.machines)} machines in {running.spec.network}, by {how}.")
    click.echo(
        f"Their BMCs answer inside the rack's network; try: pxeapp rack exec -- ping -c1 {running.spec.appliance}"
    )


@rack.command("down")
@folder_option
def down(folder: Path) -> None:
    """End the rack and everything in it."""
    Rack.open(folder).down()
    click.echo("The rack is down.")


@rack.command("status")
@folder_option
@click.option("--json", "as_json", is_flag=True)
def status(folder: Path, as_json: bool) -> None:
    """Show each machine's power and BMC."""
    rows = Rack.open(folder).status()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        alive = "" if row["bmc_alive"] else "  (its BMC is dead)"
        click.echo(f"{row['name']:<12} {row['power']:<8} {row['firmware']:<10} {row['mac']}  {row['bmc']}{alive}")


@rack.command("exec", context_settings={"ignore_unknown_options": True})
@folder_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(folder: Path, command: tuple[str, ...]) -> None:
    """Run a command inside the rack's network."""
    argv = Rack.open(folder).argv(command)
    os.execvp(argv[0], argv)  # noqa: S606 - becoming the command is the point


@rack.command("console")
@folder_option
@click.argument("name")
def console(folder: Path, name: str) -> None:
    """Serial over LAN to a machine, through its BMC (leave with ~.)."""
    running = Rack.open(folder)
    machine = running.spec.machine(name)
    if shutil.which("ipmitool") is None:
        raise NotFound("ipmitool is not installed.", hint="Install the package ipmitool.")
    argv = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", machine.bmc_address, "-U", machine.bmc_user, "-E"]
    environment = {**os.environ, "IPMI_PASSWORD": machine.bmc_password}
    sys.exit(subprocess.call(running.argv([*argv, "sol", "activate"]), env=environment))


@rack.command("fleet")
@click.option("--machines", "count", type=click.IntRange(1, LIMIT), default=100, show_default=True, help="How many.")
@click.option(
    "--node-url", default="http://127.0.0.1:8081", show_default=True, help="The appliance's HTTP for machines."
)
@click.option("--tftp", default="127.0.0.1:69", show_default=True, help="The appliance's TFTP.")
@click.option("--install-seconds", type=float, default=10.0, show_default=True, help="How long an installation takes.")
@click.option("--file", type=click.Path(path_type=Path), default=Path("fleet.json"), show_default=True)
def fleet(count: int, node_url: str, tftp: str, install_seconds: float, file: Path) -> None:
    """Simulate machines by the hundred on the appliance's own host, until Ctrl-C; FILE registers them.

    No firmware and no disk, but real TFTP, HTTP and IPMI: pxeapp machine import FILE, then deploy them.
    """
    host, _, port = tftp.rpartition(":")
    appliance = Appliance(node_url.rstrip("/"), (host or "127.0.0.1", int(port)))
    simulated = Fleet(count, appliance, pace=Pace(install_s=install_seconds))
    file.write_text(json.dumps(simulated.machines_file(), indent=1))
    click.echo(f"{count} simulated machines, all off. Register them: pxeapp machine import {file}")
    asyncio.run(_play(simulated))


async def _play(simulated: Fleet) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    playing = asyncio.create_task(simulated.run(stop))
    said = ""
    while not playing.done():
        now = ", ".join(f"{count} {doing}" for doing, count in sorted(simulated.doing().items()))
        if now != said:
            click.echo(now)
            said = now
        await asyncio.wait([playing], timeout=2.0)
    await playing


@rack.command("machines-file")
@folder_option
@click.option("--network", default=None, help="The name of the appliance's network that they are in.")
def machines_file(folder: Path, network: str | None) -> None:
    """Print the file that registers these machines: pxeapp machine import FILE."""
    click.echo(json.dumps(Rack.open(folder).machines_file(network), indent=2))
