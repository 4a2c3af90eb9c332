"""Many simulated machines with their BMCs, in one process: to rehearse with a thousand where one host has room for ten.

Each machine has an address of its own in 127.77.0.0/16 and each BMC a UDP port, so the appliance must run on this host.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any

from pxeapp.lab.fleet.bmc import SimulatedBmc
from pxeapp.lab.fleet.bmcs import BmcFleet
from pxeapp.lab.fleet.machine import Appliance, Pace, SimulatedMachine

LIMIT = 10_000
DESCRIPTORS = 40_000
USER, PASSWORD = "admin", "simulated"  # a login to nothing


class Fleet:
    """`count` machines, all switched off; `run` plays them until it is stopped."""

    def __init__(
        self, count: int, appliance: Appliance, *, pace: Pace | None = None, bmc_takes_s: float = 1.0, first: int = 1
    ) -> None:
        if not 0 < count <= LIMIT:
            raise ValueError(f"A fleet has 1 to {LIMIT} machines.")
        _raise_descriptor_limit()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bmcs = BmcFleet(username=USER, password=PASSWORD, on_power=self._switched)
        self.machines: list[SimulatedMachine] = []
        self._of: dict[SimulatedBmc, SimulatedMachine] = {}
        for number in range(first, first + count):
            high, low = divmod(number, 250)
            bmc = self.bmcs.add(f"sim{number:05}")
            bmc.takes_s = bmc_takes_s
            machine = SimulatedMachine(
                bmc.name,
                f"02:77:00:00:{high:02x}:{low:02x}",
                f"127.77.{high}.{low + 1}",
                bmc,
                appliance,
                pace or Pace(),
            )
            self.machines.append(machine)
            self._of[bmc] = machine

    def machines_file(self, **common: Any) -> list[dict[str, Any]]:
        """What registers them: `pxeapp machine import FILE`. `common` is said of each, for example `role`."""
        return [
            {
                "name": machine.name,
                "mac": machine.mac,
                "serial": machine.name,
                "bmc": {
                    "type": "ipmi",
                    "address": machine.bmc.address,
                    "port": machine.bmc.port,
                    "username": USER,
                    "password": PASSWORD,
                    "cipher_suite": 3,
                },
                **common,
            }
            for machine in self.machines
        ]

    def doing(self) -> Counter[str]:
        """How many machines do what now."""
        return Counter(machine.doing for machine in self.machines)

    async def run(self, stop: asyncio.Event) -> None:
        """Play the machines until `stop`."""
        self._loop = asyncio.get_running_loop()
        with self.bmcs:
            await stop.wait()
        for machine in self.machines:
            await machine.ended()
        await asyncio.sleep(0.1)  # their sockets close in the loop's next rounds

    def _switched(self, bmc: SimulatedBmc, power: bool) -> None:  # noqa: FBT001 - the fleet's signature
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: self._of[bmc].switched(power=power))


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))
