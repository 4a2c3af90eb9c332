"""The appliance in a rack's network: the `pxeapp` command as an operator starts it, and its API as anybody uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pxeapp.errors import Unavailable
from pxeapp.lab import namespace
from pxeapp.lab.client import Api
from pxeapp.lab.images.build import StandIn
from pxeapp.lab.rack import Process, Rack
from pxeapp.lab.spec import RackSpec

HTTP_PORT, NODE_PORT = 8080, 8081
NETWORK = "rack"  # the appliance's name for the rack's network
STANDIN = "rocky-9-standin"  # the release that the stand-in installer passes for
READY_S = 90.0
COMMAND_S = 900.0
PXEAPP = (sys.executable, "-m", "pxeapp")
PASSWORD_MARK = "shown only now: "  # noqa: S105 - how `pxeapp serve` prints the one-time password


class Appliance:
    """One `pxeapp serve` beside the machines, with a door for packages and a port on this host's loopback."""

    def __init__(self, rack: Rack, folder: Path) -> None:
        self.rack = rack
        self.folder = folder
        self.log = folder / "appliance.log"
        self.url = ""
        self._door = rack.sockets / "mirror"
        self._upstream: Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Its settings; whatever PXEAPP_* this shell has is another appliance's."""
        address, network = self.rack.spec.appliance, self.rack.spec.network
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")},
            "PXEAPP_DATA_DIR": str(self.folder / "data"),
            "PXEAPP_HTTP_LISTEN": f"{address}:{HTTP_PORT}",
            "PXEAPP_NODE_LISTEN": f"{address}:{NODE_PORT}",
            "PXEAPP_NODE_URL": f"http://{address}:{NODE_PORT}",
            "PXEAPP_TFTP_LISTEN": f"{address}:69",
            "PXEAPP_TFTP_NETWORKS": network,
            "PXEAPP_BMC_NETWORKS": network,
            "PXEAPP_DHCP": "full",
            "PXEAPP_DHCP_INTERFACE": namespace.BRIDGE,
            "PXEAPP_MIRROR_UPSTREAMS": f"debian=http+unix://{self._door}:/debian",
        }

    def start(self) -> None:
        """Start it with its two doors (our way in, the packages' way through) and wait until it is ready."""
        self._upstream = self.rack.start_outside(
            "mirror door", [*PXEAPP, "mirror-door", "--listen", str(self._door)], log=self.folder / "mirror-door.log"
        )
        self.serve()
        self.url = f"http://127.0.0.1:{self.rack.forward(HTTP_PORT)}"
        Api(self.url).await_ready(READY_S)

    def unplug(self) -> None:
        """Shut the door to the packages: from now on the rack has what the appliance keeps, and nothing else."""
        if self._upstream is not None:
            self.rack.stop(self._upstream)
            self._upstream = None

    def serve(self) -> Process:
        """`pxeapp serve` in the rack's network; once more after it was killed."""
        return self.rack.start("appliance", [*PXEAPP, "serve"], log=self.log, env=self.environment)

    def command(self, *words: str) -> str:
        """Run a `pxeapp` command with its settings, on this host: that is where installers and packages come from."""
        done = subprocess.run(
            [*PXEAPP, *words], env=self.environment, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )
        if done.returncode:
            raise Unavailable(f"`pxeapp {' '.join(words[:2])}` failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def api(self, role: str) -> Api:
        """Its API with a token of this role."""
        return Api(self.url, self.command("token", "create", "--role", role, "--name", f"lab-{role}").strip())

    def register_rack(self, api: Api) -> None:
        """The rack's network and machines, as an administrator enters them."""
        api.post("/networks", _network(self.rack.spec))
        api.post("/machines/import", self.rack.machines_file(NETWORK))

    def add_standin(self, standin: StandIn) -> None:
        """The stand-in installer as a release of Rocky 9."""
        self.command(
            "release", "add-directory", STANDIN, str(standin.kernel.parent),
            "--kernel", standin.kernel.name, "--initrd", standin.initrd.name,
            "--family", "rocky", "--version", "9", "--replace",
            "--install-url", "{node_url}/repo/rocky/9/BaseOS/x86_64/os",
            "--kernel-args", "standin.version=RHEL9 mitigations=off console=tty0 console=ttyS0,115200",
        )  # fmt: skip

    def password(self) -> str:
        """The administrator's one-time password as `pxeapp serve` printed it, as an operator would read it."""
        for line in self.log.read_text(errors="replace").splitlines():
            if PASSWORD_MARK in line:
                return line.split(PASSWORD_MARK, 1)[1].strip()
        return "(not shown: the appliance had been started before)"


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
