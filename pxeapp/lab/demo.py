"""`make demo`: a virtual rack, the appliance, and every machine carried from cold metal to `active`, watched.

The demo is a stranger to the appliance: it starts the `pxeapp` command in the rack's network, registers machines
through the public API, and looks.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pxeapp.errors import PxeError
from pxeapp.lab.appliance import STANDIN, Appliance
from pxeapp.lab.client import Api
from pxeapp.lab.images.build import StandIn, build
from pxeapp.lab.progress import Progress, Row
from pxeapp.lab.rack import Rack
from pxeapp.lab.spec import RackSpec
from pxeapp.lab.spec import build as rack_of

DEBIAN = "debian-13"
QUICK_S = 15 * 60.0
FULL_S = 100 * 60.0  # emulation on a busy machine; with KVM it is minutes
LOOK_EVERY_S = 1.0
TAKE_DOWN = f"{Path(sys.executable).parent / 'pxeapp'} rack down"
QUICK_MACHINES = (
    # With the firmware's own PXE client, so that the boot program really comes by TFTP: QEMU's cards carry iPXE in ROM.
    {"name": "compute1", "firmware": "uefi", "nic_rom": "firmware", "role": "compute", "release": STANDIN},
    {
        "name": "storage1",
        "firmware": "bios",
        "role": "storage",
        "release": STANDIN,
        "network_first": True,
        "data_disks": 1,
    },
)
FULL_MACHINE: dict[str, object] = {
    "name": "storage2",
    "firmware": "bios",
    "role": "storage",
    "release": DEBIAN,
    "memory_mib": 1024,
    "cpus": 2,
    "disk_gib": 8,
    "data_disks": 1,
}


@dataclass
class Demo:
    """One run: where it keeps its things, and what has been started."""

    folder: Path
    cache: Path
    quick: bool
    console: Console
    rack: Rack | None = None
    url: str = ""

    def run(self) -> bool:
        """Everything in order; True if every machine became active."""
        started = time.monotonic()
        spec = self._spec()
        self._say("building the stand-in installer (Anaconda itself cannot be had here; this is not it)")
        standin = build(self.cache)
        self._say(f"starting a rack of {len(spec.machines)} machines with simulated BMCs")
        rack = self.rack = Rack.up(spec, self.folder / "rack")
        how = "KVM" if "kvm" in rack.acceleration else "emulation: KVM does not truly work here"
        self._say(f"the rack is up ({how})")
        appliance = Appliance(rack, self.folder)
        self._start_appliance(appliance)
        self.url = appliance.url
        admin = appliance.api("admin")
        self._add_releases(appliance, admin, standin)
        appliance.register_rack(admin)
        api = appliance.api("operator")
        self._say(f"{len(spec.machines)} machines registered; deploying them through the API at {self.url}/api/v1")
        rows = [self._deploy(api, each.name) for each in spec.machines]
        finished = self._watch(api, rows)
        self._say(f"{time.monotonic() - started:.0f} s in all")
        return finished

    def stop(self) -> None:
        """End everything that this run started."""
        if self.rack is not None:
            self.rack.down()

    def _spec(self) -> RackSpec:
        machines: list[dict[str, object]] = [dict(each) for each in QUICK_MACHINES]
        if not self.quick:
            machines.append(dict(FULL_MACHINE))
        return rack_of({"name": "demo", "machines": machines})

    def _start_appliance(self, appliance: Appliance) -> None:
        self._say(f"the appliance is starting (its log: {appliance.log})")
        appliance.start()
        secret = self.folder / "admin-password"
        secret.touch(mode=0o600)
        secret.write_text(appliance.password() + "\n")
        self._say(f"watch it in a browser: {appliance.url}/  (admin, password in {secret})")

    def _add_releases(self, appliance: Appliance, admin: Api, standin: StandIn) -> None:
        appliance.add_standin(standin)
        if not self.quick:
            self._say("adding Debian 13: its netboot image, and its installer made whole if the mirror is not")
            # Some mirrors sync installer components beside the signed Release file. In a rack of virtual machines that
            # is accepted, and said; on a real network the command without the flag refuses it.
            for line in appliance.command("release", "add-debian", "13", "--accept-unsigned-udebs").splitlines():
                self._say(f"  {line}")
            # Emulating what works around the flaws of real processors costs a third of the time, for nothing; the
            # cloud kernel leaves out the drivers that no virtual machine has.
            admin.patch(
                f"/releases/{DEBIAN}",
                {"kernel_args": "mitigations=off base-installer/kernel/image=linux-image-cloud-amd64"},
            )

    def _deploy(self, api: Api, name: str) -> Row:
        assert self.rack is not None  # noqa: S101 - the rack comes first
        spec = self.rack.spec.machine(name)
        kind = "the real Debian installer" if spec.release == DEBIAN else "stand-in for Anaconda"
        return Row(name, f"{spec.firmware.upper()}, {spec.role}, {kind}", api.post(f"/machines/{name}/deploy", {}))

    def _watch(self, api: Api, rows: Sequence[Row]) -> bool:
        deadline = time.monotonic() + (QUICK_S if self.quick else FULL_S)
        with Progress(list(rows), self.console) as progress:
            while time.monotonic() < deadline:
                for row in rows:
                    if row.outcome is None:
                        row.deployment = api.get(f"/deployments/{row.deployment['id']}")
                progress.show(dt.datetime.now(dt.UTC))
                if all(row.outcome for row in rows):
                    break
                time.sleep(LOOK_EVERY_S)
        progress.summary()
        states = {row.name: api.get(f"/machines/{row.name}")["state"] for row in rows}
        for row in rows:
            if states[row.name] != "active":
                self._explain(api, row)
        return all(state == "active" for state in states.values())

    def _explain(self, api: Api, row: Row) -> None:
        why = api.get(f"/machines/{row.name}/explain")
        self.console.print(f"[red]{row.name}[/red]: {why['summary']}")
        for cause in why["causes"][:3]:
            self.console.print(f"  - {cause['cause']} {cause['try']}")
        self.console.print(f"  its console: {self.folder}/rack/{row.name}/console.log")

    def _say(self, text: str) -> None:
        self.console.print(f"[dim]{dt.datetime.now(dt.UTC):%H:%M:%S}[/dim] {text}", soft_wrap=True)


def main() -> int:
    """The command behind `make demo`."""
    parser = argparse.ArgumentParser(description="Provision a virtual rack end to end.")
    parser.add_argument("--quick", action="store_true", help="leave out the full installation")
    parser.add_argument("--keep", action="store_true", help="leave everything running afterwards")
    parser.add_argument("--folder", type=Path, default=Path(".run/demo"))
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "pxeapp-lab")
    said = parser.parse_args()
    folder = said.folder.absolute()
    console = Console(width=None if sys.stdout.isatty() else 200)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    _clear(folder)
    demo = Demo(folder, said.cache.expanduser().absolute(), said.quick, console)
    try:
        good = demo.run()
    except PxeError as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        good = False
    except BaseException:
        demo.stop()
        raise
    if said.keep:
        console.print(
            f"Left running: {demo.url}/ — take it down with: {TAKE_DOWN} --folder {folder}/rack", soft_wrap=True
        )
    else:
        demo.stop()
    console.print("[green]every machine is active[/green]" if good else "[red]not every machine became active[/red]")
    return 0 if good else 1


def _clear(folder: Path) -> None:
    """End a run that was left behind in this folder, and forget it."""
    if (folder / "rack" / "rack.json").exists():
        Rack.open(folder / "rack").down()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


if __name__ == "__main__":
    sys.exit(main())
