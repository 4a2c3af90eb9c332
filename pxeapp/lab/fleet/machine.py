"""One simulated machine: no firmware and no disk, but every packet and request that a real one would send.

It lives while its BMC has it switched on: self-test, boot loader by TFTP, boot script, kernel, initrd and answer file
by HTTP, the reports of the installer, a reboot, and the first call from its own disk. It knows only addresses of ours.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pxeapp.lab.fleet import wire
from pxeapp.lab.fleet.bmc import SimulatedBmc
from pxeapp.lab.fleet.wire import Failed

Fault = Literal[
    "none",
    "no_pxe",  # never asks for anything: network boot is switched off in its firmware
    "loader_only",  # fetches its loader and stops there
    "installer_fails",
    "installer_silent",  # starts to install and says nothing more
    "no_first_boot",  # its installed system never calls in
]
MEDIA = re.compile(r"^(?:kernel|initrd)\s(?:--name \S+ )?(http://\S+)", re.MULTILINE)
ANSWER = re.compile(r"http://\S+?/a/[\w-]+/(?:kickstart|preseed)")
CALLBACK = re.compile(r"http://[^\s/\"']+/c/[\w-]+")
T = TypeVar("T")
PATIENCE_S = 900.0  # for which an installer repeats a report that was not taken
PAUSE_S = (1.0, 30.0)  # between two tries: the first, and at most


@dataclass(frozen=True, slots=True)
class Appliance:
    """Where the machines' DHCP would send them."""

    node_url: str
    tftp: tuple[str, int]
    loader: str = "undionly.kpxe"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds; each machine varies them by up to a fifth."""

    self_test_s: float = 2.0
    start_s: float = 1.0  # kernel and installer
    install_s: float = 10.0
    words: int = 3  # progress reports meanwhile
    reboot_s: float = 2.0
    retries_s: tuple[float, ...] = (1.0, 2.0, 4.0)  # as dracut has curl do it: `--retry 3 --retry-connrefused`


@dataclass
class SimulatedMachine:
    """The machine behind one BMC. `doing` is what it does now, `troubles` what went wrong so far."""

    name: str
    mac: str
    address: str
    bmc: SimulatedBmc
    appliance: Appliance
    pace: Pace = field(default_factory=Pace)
    fault: Fault = "none"
    doing: str = "off"
    installed: bool = False
    calls_home: str = ""  # what its installed system calls at its first boot; empty afterwards
    installs: int = 0
    repeats: int = 0  # reports that had to be sent again
    troubles: list[str] = field(default_factory=list)
    _life: asyncio.Task[None] | None = field(default=None, repr=False)

    def switched(self, *, power: bool) -> None:
        """Its BMC switched it; called in the event loop."""
        if self._life is not None:
            self._life.cancel()
            self._life = None
        self._begins("off")
        if power:
            self._life = asyncio.get_running_loop().create_task(self._live())

    async def ended(self) -> None:
        """Pull its plug and wait until nothing of it runs."""
        life = self._life
        self.switched(power=False)
        if life is not None:
            await asyncio.wait([life])

    def _begins(self, what: str) -> None:
        """Whatever it begins to do it says on its serial port, as firmware, installers and systems do."""
        if what != self.doing:
            self.bmc.says(f"{self.name}: {what}\r\n".encode())
        self.doing = what
        self.bmc.echoes(yes=what == "running")

    async def _live(self) -> None:
        try:
            await self._boot(from_network=self.bmc.booted_from == "network" or not self.installed)
        except Failed as trouble:
            self.troubles.append(f"{self.doing}: {trouble}")
            self._begins("stuck")

    async def _boot(self, *, from_network: bool) -> None:
        self._begins("self-test")
        await self._take(self.pace.self_test_s)
        if from_network and self.fault != "no_pxe":
            self._begins("netboot")
            script = await self._netboot()
            if self.fault == "loader_only":
                return
            if MEDIA.search(script):
                await self._install(script)
                return
        await self._boot_disk()

    async def _netboot(self) -> str:
        await self._patiently(lambda: wire.tftp(self.appliance.tftp, self.appliance.loader, source=self.address))
        if self.fault == "loader_only":
            return ""
        asks = f"{self.appliance.node_url}/boot/ipxe?mac={self.mac}&serial={self.name}&platform=pcbios&arch=i386"
        return (await self._get(asks)).decode()

    async def _install(self, script: str) -> None:
        self._begins("loading")
        for url in MEDIA.findall(script):
            await self._get(url, keep=False)
        self._begins("starting")
        await self._take(self.pace.start_s)
        found = ANSWER.search(script)
        if found is None:
            raise Failed("its boot script names no answer file")
        text = (await self._get(found[0])).decode()
        callback = CALLBACK.search(text)
        if callback is None:
            raise Failed("its answer file names no address to report to")
        self.installed = False
        self._begins("installing")
        await self._report(callback[0], "started", "The simulated installer started.")
        if self.fault == "installer_silent":
            return
        for number in range(self.pace.words):
            await self._take(self.pace.install_s / (self.pace.words + 1))
            await self._report(callback[0], "progress", f"stage {number + 1} of {self.pace.words}")
        await self._take(self.pace.install_s / (self.pace.words + 1))
        if self.fault == "installer_fails":
            await self._report(callback[0], "failed", "The simulated disk is broken.")
            return
        await self._report(callback[0], "installed", "Everything is on the simulated disk.")
        self.installed, self.calls_home = True, callback[0]
        self.installs += 1
        self._begins("rebooting")
        await self._take(self.pace.reboot_s)
        await self._boot(from_network=False)

    async def _boot_disk(self) -> None:
        if not self.installed:
            self._begins("no system")
            return
        self._begins("starting up")
        await self._take(self.pace.start_s)
        if self.calls_home and self.fault != "no_first_boot":
            await self._report(self.calls_home, "first_boot", "It runs from its simulated disk.")
            self.calls_home = ""
        self._begins("running")

    async def _get(self, url: str, *, keep: bool = True) -> bytes:
        async def fetch() -> bytes:
            status, body = await wire.http("GET", url, source=self.address, keep=keep)
            if status != 200:
                raise Failed(f"{url.split('/a/')[0]} answered {status}", for_good=status < 500)  # never the token
            return body

        return await self._patiently(fetch)

    async def _patiently(self, fetch: Callable[[], Awaitable[T]]) -> T:
        """What may pass is tried again a few times."""
        for pause in self.pace.retries_s:
            try:
                return await fetch()
            except Failed as failure:
                if failure.for_good:
                    raise
            self.repeats += 1
            await asyncio.sleep(pause)
        return await fetch()

    async def _report(self, callback: str, event: str, message: str) -> None:
        """As the installers' own scripts: again and again until it is taken, refused, or nobody came for 15 minutes."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + PATIENCE_S, PAUSE_S[0]
        body = json.dumps({"event": event, "message": message}).encode()
        while True:
            try:
                status = (await wire.http("POST", f"{callback}/events", source=self.address, body=body)).status
            except Failed:
                status = 0
            if 200 <= status < 300:
                return
            if 400 <= status < 500 and status not in (408, 429):
                raise Failed(f"its report {event!r} was refused with {status}")
            if loop.time() > deadline:
                raise Failed(f"its report {event!r} was not taken within {PATIENCE_S:.0f} s")
            self.repeats += 1
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - only spreads them
            pause = min(pause * 2, PAUSE_S[1])

    @staticmethod
    async def _take(seconds: float) -> None:
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - only spreads them
