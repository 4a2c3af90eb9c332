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
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pxeapp.errors import PxeError, Unavailable
from pxeapp.lab.client import Api
from pxeapp.lab.images.build import StandIn, build
from pxeapp.lab.progress import Progress, Row
from pxeapp.lab.rack import Rack
from pxeapp.lab.spec import RackSpec
from pxeapp.lab.spec import build as rack_of

NETWORK = "rack"
PORTS = {"http": 8080, "node": 8081}
STANDIN = "rocky-9-standin"
DEBIAN = "debian-13"
READY_S = 60.0
QUICK_S = 15 * 60.0
FULL_S = 100 * 60.0  # emulation on a busy machine; with KVM it is minutes
LOOK_EVERY_S = 1.0
QUICK_MACHINES = (
    {"name": "compute1", "firmware": "uefi", "role": "compute", "release": STANDIN},
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
    door: subprocess.Popen[bytes] | None = None
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
        self._start_appliance(rack)
        self._add_releases(standin)
        api = Api(self.url, self._command("token", "create", "--role", "operator", "--name", "demo").strip())
        admin = Api(self.url, self._command("token", "create", "--role", "admin", "--name", "demo-setup").strip())
        admin.post("/networks", _network(spec))
        done = api.post("/machines/import", rack.machines_file(NETWORK))
        self._say(f"{done['created']} machines registered; deploying them through the API at {self.url}/api/v1")
        rows = [self._deploy(api, each.name) for each in spec.machines]
        finished = self._watch(api, rows)
        self._say(f"{time.monotonic() - started:.0f} s in all")
        return finished

    def stop(self) -> None:
        """End everything that this run started."""
        if self.rack is not None:
            self.rack.down()
        if self.door is not None:
            self.door.terminate()
            self.door.wait(10)

    def _spec(self) -> RackSpec:
        machines: list[dict[str, object]] = [dict(each) for each in QUICK_MACHINES]
        if not self.quick:
            machines.append(dict(FULL_MACHINE))
        return rack_of({"name": "demo", "machines": machines})

    def _environment(self) -> dict[str, str]:
        assert self.rack is not None  # noqa: S101 - the rack comes first
        address = self.rack.spec.appliance
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")},
            "PXEAPP_DATA_DIR": str(self.folder / "data"),
            "PXEAPP_HTTP_LISTEN": f"{address}:{PORTS['http']}",
            "PXEAPP_NODE_LISTEN": f"{address}:{PORTS['node']}",
            "PXEAPP_NODE_URL": f"http://{address}:{PORTS['node']}",
            "PXEAPP_TFTP_LISTEN": f"{address}:69",
            "PXEAPP_TFTP_NETWORKS": self.rack.spec.network,
            "PXEAPP_BMC_NETWORKS": self.rack.spec.network,
            "PXEAPP_DHCP": "full",
            "PXEAPP_DHCP_INTERFACE": "pxe0",
            "PXEAPP_MIRROR_UPSTREAMS": f"debian=http+unix://{self._door_path()}:/debian",
        }

    def _door_path(self) -> Path:
        assert self.rack is not None  # noqa: S101 - the rack comes first
        return self.rack.sockets / "mirror"

    def _start_appliance(self, rack: Rack) -> None:
        """`pxeapp serve` in the rack's network, and the two doors: our way in, the packages' way through."""
        self.door = subprocess.Popen(
            [*_PXEAPP, "mirror-door", "--listen", str(self._door_path())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        log = self.folder / "appliance.log"
        rack.start("appliance", [*_PXEAPP, "serve"], log=log, env=self._environment())
        self.url = f"http://127.0.0.1:{rack.forward(PORTS['http'])}"
        self._say(f"the appliance is starting (its log: {log})")
        Api(self.url).await_ready(READY_S)
        (self.folder / "admin-password").write_text(_password(log) + "\n")
        (self.folder / "admin-password").chmod(0o600)
        self._say(f"watch it in a browser: {self.url}/  (admin, password in {self.folder}/admin-password)")

    def _add_releases(self, standin: StandIn) -> None:
        self._command(
            "release", "add-directory", STANDIN, str(standin.kernel.parent),
            "--kernel", standin.kernel.name, "--initrd", standin.initrd.name,
            "--family", "rocky", "--version", "9", "--replace",
            "--install-url", "{node_url}/repo/rocky/9/BaseOS/x86_64/os",
            "--kernel-args", "standin.version=RHEL9 mitigations=off console=tty0 console=ttyS0,115200",
        )  # fmt: skip
        if not self.quick:
            self._say("adding Debian 13: its netboot image, and its installer made whole if the mirror is not")
            for line in self._command("release", "add-debian", "13").splitlines()[-6:]:
                self._say(f"  {line}")

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

    def _command(self, *words: str) -> str:
        """Run a `pxeapp` command with the appliance's settings, on the host (that is where the packages come from)."""
        done = subprocess.run(
            [*_PXEAPP, *words], env=self._environment(), capture_output=True, text=True, check=False, timeout=900
        )
        if done.returncode:
            raise Unavailable(f"`pxeapp {' '.join(words[:2])}` failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def _say(self, text: str) -> None:
        self.console.print(f"[dim]{dt.datetime.now(dt.UTC):%H:%M:%S}[/dim] {text}", soft_wrap=True)


_PXEAPP = (sys.executable, "-m", "pxeapp")


def _network(spec: RackSpec) -> dict[str, object]:
    base = spec.network.rsplit(".", 1)[0]
    return {
        "name": NETWORK,
        "cidr": spec.network,
        "gateway": spec.appliance,
        "domain": "rack.test",
        "dhcp_start": f"{base}.50",
        "dhcp_end": f"{base}.99",
    }


def _password(log: Path) -> str:
    """The one-time password as `pxeapp serve` printed it, as an operator would read it."""
    marker = "shown only now: "
    for line in log.read_text(errors="replace").splitlines():
        if marker in line:
            return line.split(marker, 1)[1].strip()
    return "(not shown: the appliance had been started before)"


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
        console.print(f"Left running: {demo.url}/ — take it down with: pxeapp rack down --folder {folder}/rack")
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
