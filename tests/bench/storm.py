"""The boot storm: so many machines are ordered at once and go from cold to their first boot.

Simulated machines (pxeapp/lab/fleet): no firmware and no disk, but a TFTP download of the real boot loader, boot
script, kernel, initrd, answer file, reports and first call by HTTP through nginx, and a BMC that speaks IPMI. There is
no peer: no other provisioner can be asked to do this on one host. How cost grows with the number is what is looked at.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.cpu import Server
from tests.bench.rounds import Contender, Figures, Target, Work, quantile
from tests.loopback import PXEAPP, RELEASE, LoopbackAppliance

INSTALL_S = 20.0
AT_ONCE, PER_MINUTE = 200, 300
PATIENCE_S = 1800.0
LOOK_EVERY_S = 5.0
KERNEL, INITRD = 1 << 20, 4 << 20
LOADING = ("armed", "power_cycled", "dhcp_seen", "nbp_fetched", "kernel_fetched", "answer_fetched", "installing")


class _Measured(LoopbackAppliance):
    """The same, with its CPU and memory counted."""

    server: Server

    def start(self) -> None:
        self.server = Server(self.argv(), env=self.environment, output=self.log)
        self.await_ready()

    def stop(self) -> None:
        self.server.stop(within_s=60)


@contextmanager
def _fleet(appliance: LoopbackAppliance, count: int) -> Iterator[list[dict[str, Any]]]:
    """The machines, in a process of their own: what they cost is not the server's."""
    file = appliance.folder / "fleet.json"
    node = appliance.environment["PXEAPP_NODE_URL"]
    with (appliance.folder / "fleet.log").open("wb") as said:
        process = subprocess.Popen(
            [*PXEAPP, "rack", "fleet", "--machines", str(count), "--node-url", node,
             "--tftp", f"127.0.0.1:{appliance.tftp}", "--install-seconds", str(INSTALL_S), "--file", str(file)],
            stdout=said, stderr=said, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            while "Register them" not in (appliance.folder / "fleet.log").read_text():
                if process.poll() is not None:
                    raise RuntimeError((appliance.folder / "fleet.log").read_text()[-500:])
                time.sleep(0.1)
            yield json.loads(file.read_text())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _storm(count: int) -> Figures:
    folder = Path(tempfile.mkdtemp(prefix="pxeapp-storm-"))
    appliance = _Measured(folder, installs_at_once=str(AT_ONCE), starts_per_minute=str(PER_MINUTE))
    appliance.start()
    try:
        appliance.add_release(kernel=KERNEL, initrd=INITRD)
        with _fleet(appliance, count) as machines:
            for start in range(0, count, 1000):
                appliance.register(machines[start : start + 1000])
            return _measured(appliance, [machine["name"] for machine in machines])
    finally:
        appliance.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _measured(appliance: _Measured, names: list[str]) -> Figures:
    api, server = appliance.api, appliance.server
    cpu, began = server.cpu_s(), time.monotonic()

    def order(name: str) -> int:
        return int(api.post(f"/machines/{name}/deploy", {"release": RELEASE, "role": "compute"})["id"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(order, names))
    ordered = time.monotonic() - began
    most: Counter[str] = Counter()
    memory = 0.0
    while time.monotonic() - began < PATIENCE_S:
        memory = max(memory, server.memory_mib())
        steps = Counter(row["step"] for row in _deployments(api, "&running=true"))
        most["waiting"] = max(most["waiting"], steps["requested"])
        most["at once"] = max(most["at once"], sum(steps[step] for step in LOADING))
        if not steps:
            break
        time.sleep(LOOK_EVERY_S)
    wall, used = time.monotonic() - began, server.cpu_s() - cpu
    rows = _deployments(api)
    took = [_seconds(row["admitted_at"], row["finished_at"]) for row in rows if row["outcome"] == "succeeded"]
    starts = sorted(row["admitted_at"] for row in rows if row["admitted_at"])
    gaps = [_seconds(earlier, later) for earlier, later in itertools.pairwise(starts)]
    return {
        "failed": len(names) - len(took),
        "seconds in all": wall,
        "seconds to order": ordered,
        "p50 s a machine": quantile(took, 0.5) if took else float("nan"),
        "p95 s a machine": quantile(took, 0.95) if took else float("nan"),
        "most at once": most["at once"],
        "most waiting": most["waiting"],
        "least ms between starts": 1000 * min(gaps) if gaps else 0.0,
        "server CPU s": used,
        "server CPU ms a machine": 1000 * used / len(names),
        "server CPUs used": used / wall,
        "server MiB": memory,
    }


def _deployments(api: Any, narrowed: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        page = api.get(f"/deployments?limit=1000&after={after}{narrowed}")
        rows += page["items"]
        if not page["next"]:
            return rows
        after = page["next"]


def _seconds(earlier: str, later: str) -> float:
    return (dt.datetime.fromisoformat(later) - dt.datetime.fromisoformat(earlier)).total_seconds()


def works(*, quick: bool) -> list[Work]:
    """One work; each contender is a size."""
    sizes = (5, 20) if quick else (10, 100, 1000)
    contenders = [Contender(f"{size} machines", lambda size=size: _storm(size)) for size in reversed(sizes)]
    return [
        Work(
            "storm",
            f"Boot storm: {', '.join(map(str, sizes))} machines ordered at once, to their first boot",
            contenders,
            targets=[Target("failed", at_most=0, says=f"none of {sizes[-1]} failed")],
            rounds=1,
            notes=[
                f"{AT_ONCE} may install at once and {PER_MINUTE} are switched on per minute; an installation takes",
                f"{INSTALL_S:.0f} s; kernel {KERNEL >> 20} MiB, initrd {INITRD >> 20} MiB, undionly.kpxe by TFTP.",
                "The machines are simulated in a process of their own, which shares the CPUs with the server.",
                '"a machine": from its turn to active. The server is all of `pxeapp serve`, nginx included; that it is',
                f"asked for its running deployments every {LOOK_EVERY_S:.0f} s is in its CPU.",
            ],
        )
    ]
