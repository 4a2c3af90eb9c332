"""A cloud of whole machines, brought up one after the other by their own checklists, and asked by its controller."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pxeapp.answers.roles import work
from tests.answers.roles import machines
from tests.answers.roles.cluster import node
from tests.answers.samples import TEMPLATES

APPLIANCE, CONTROLLER = "10.77.0.1", "10.77.0.10"
HOSTS = {
    "ctl1": CONTROLLER,
    "cmp1": "10.77.0.11",
    "cmp2": "10.77.0.12",
    "net1": "10.77.0.13",
    "blk1": "10.77.0.14",
    "obj1": "10.77.0.15",
}
MINUTES = 40  # for each first boot, on a busy machine
CLIENTS = ("openstack", "heat", "swift", "gnocchi", "trove")
# The modules of a machine in a namespace are those of this kernel, whose names modprobe does not know.
NO_MODULES = "ln -sf /bin/true /usr/sbin/modprobe"
# Open vSwitch does without its kernel module, in a datapath of its own process.
USERSPACE = "sed -i 's/^\\[ovs\\]$/&\\ndatapath_type = netdev/' /etc/neutron/plugins/ml2/openvswitch_agent.ini"
# LVM without udev, which in a machine of this kind would tell of this host's disks.
LVM_CONF = "activation {\n udev_sync = 0\n udev_rules = 0\n}\ndevices {\n obtain_device_list_from_udev = 0\n}"
UDEV_UNITS = " ".join(f"systemd-{unit}" for unit in ("udevd.service", "udevd-kernel.socket", "udevd-control.socket"))
NO_UDEV = f"echo '{LVM_CONF}' >/etc/lvm/lvmlocal.conf; systemctl mask {UDEV_UNITS} systemd-udev-trigger.service"


@dataclass
class Cloud:
    """Its machines by name; `folder` holds a tree for each."""

    folder: Path
    series: tuple[str, str]  # of Debian: version and codename
    where: machines.Network
    running: ExitStack
    machine: dict[str, machines.Machine] = field(default_factory=dict)

    def bring_up(
        self, name: str, role: str, *, before: str = "", disks: int = 0, devices: tuple[str, ...] = (), **said: Any
    ) -> machines.Machine:
        """A machine from its packages until its first boot's last word. `before`: shell, run in it before it boots."""
        spec = node("debian", self.series[0], role, first_boot_minutes=MINUTES, my_address=HOSTS[name], **said)
        images = [self.folder / f"{name}-{number}.img" for number in range(disks)]
        loops = tuple(self.running.enter_context(machines.disk(image, 2 << 30)) for image in images)
        if loops:
            spec = replace(spec, data_disks=tuple(loop.removeprefix("/dev/") for loop in loops))
        found = work.of(spec, TEMPLATES)
        tree = self.folder / name
        if not tree.exists():
            more = [f"python3-{client}client" for client in CLIENTS] if role == "controller" else ["udev"]
            machines.make(tree, self.series[1], [*found.packages, *more])
            self.running.callback(shutil.rmtree, tree, ignore_errors=True)
        found = replace(found, install=f"{found.install}\n{before}\n")
        machines.install(tree, name, found, HOSTS)
        devices = (*loops, *devices)
        before_it = len(self.where.events())
        machine = self.running.enter_context(machines.booted(tree, name, self.where, HOSTS[name], devices))
        self.machine[name] = machine
        self._set_up(machine, f"The role {role} is set up.", before_it)
        return machine

    def again(self, name: str, role: str, **said: Any) -> None:
        """Its first boot once more, as after another installation of it."""
        found = work.of(
            node("debian", self.series[0], role, first_boot_minutes=MINUTES, my_address=HOSTS[name], **said), TEMPLATES
        )
        machines.install(self.folder / name, name, found, HOSTS)
        before_it = len(self.where.events())
        self.machine[name].run("systemctl daemon-reload; systemctl restart --no-block pxeapp-role.service")
        self._set_up(self.machine[name], f"The role {role} is set up.", before_it)

    def _set_up(self, machine: machines.Machine, last: str, skip: int) -> None:
        """Waits for the first boot's last word; what it says of a failure is the test's failure."""
        deadline = time.monotonic() + MINUTES * 60
        while True:
            events = self.where.events()[skip:]
            if any(event["message"] == last for event in events):
                return
            failed = [event["message"] for event in events if event["event"] == "setup_failed"]
            assert not failed, failed[0]
            assert time.monotonic() < deadline, machine.run("tail -n 30 /var/log/pxeapp-role.log")
            time.sleep(2)

    def ask(self, command: str) -> list[dict[str, Any]]:
        """What the cloud's admin is told, by the command line client."""
        found: list[dict[str, Any]] = json.loads(self.do(f"openstack {command} -f json"))
        return found

    def do(self, command: str) -> str:
        """A shell command on the controller, as the cloud's admin."""
        return self.machine["ctl1"].run(f". /root/openrc; {command}")


@contextmanager
def cloud(folder: Path, series: tuple[str, str]) -> Iterator[Cloud]:
    """A cloud without a machine yet, on this release of Debian."""
    with ExitStack() as running:
        yield Cloud(folder, series, running.enter_context(machines.network(folder, APPLIANCE)), running)


def eventually(what: Callable[[], bool], seconds: float = 180) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(3)
