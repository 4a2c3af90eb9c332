"""The peers: `python -m tests.bench.power_load.peers pyghmi|ipmitool`, fed one line of JSON, then one that says go.

Each walks every BMC through the commands of a safe power cycle with boot device, sixteen at a time, and keeps no
record, no lease and no pause: what a script does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyghmi.ipmi import command

from tests.bench.power_load.fleet import LOGIN

AT_ONCE = 16
POLL_S = 0.5
PATIENCE_S = 60.0


def pyghmi(port: int) -> None:
    """One `Command`, as pyghmi's documentation uses it."""
    make: Any = command.Command
    bmc = make(bmc="127.0.0.1", userid=LOGIN["username"], password=LOGIN["password"], port=port)
    if bmc.get_power()["powerstate"] != "off":
        bmc.set_power("off", wait=False)
        _until(lambda: bmc.get_power()["powerstate"] == "off")
    bmc.set_bootdev("network")
    if bmc.get_bootdev()["bootdev"] != "network":
        raise RuntimeError("the boot device was not taken")
    bmc.set_power("on", wait=False)
    _until(lambda: bmc.get_power()["powerstate"] == "on")
    bmc.ipmi_session.logout()


def ipmitool(port: int) -> None:
    """One process a command."""
    status = ("chassis", "power", "status")
    if "is off" not in _ipmitool(port, *status):
        _ipmitool(port, "chassis", "power", "off")
        _until(lambda: "is off" in _ipmitool(port, *status))
    _ipmitool(port, "chassis", "bootdev", "pxe")
    if "Force PXE" not in _ipmitool(port, "chassis", "bootparam", "get", "5"):
        raise RuntimeError("the boot device was not taken")
    _ipmitool(port, "chassis", "power", "on")
    _until(lambda: "is on" in _ipmitool(port, *status))


def _ipmitool(port: int, *words: str) -> str:
    login = ["-H", "127.0.0.1", "-p", str(port), "-U", LOGIN["username"], "-P", LOGIN["password"]]
    return subprocess.run(
        ["ipmitool", "-C", "17", "-I", "lanplus", *login, *words], capture_output=True, text=True, check=True
    ).stdout


def _until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(POLL_S)


def main() -> None:
    """Wait for the ports, then for the word; answer with what it took."""
    work = {"pyghmi": pyghmi, "ipmitool": ipmitool}[sys.argv[1]]
    ports = json.loads(sys.stdin.readline())
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        errors = [repr(error) for error in pool.map(lambda port: _error_of(work, port), ports) if error]
    print(json.dumps({"wall_s": time.perf_counter() - began, "errors": errors}), flush=True)
    sys.stdin.readline()


def _error_of(work: Callable[[int], None], port: int) -> Exception | None:
    try:
        work(port)
    except Exception as error:  # noqa: BLE001 - reported, not handled
        return error
    return None


if __name__ == "__main__":
    main()
