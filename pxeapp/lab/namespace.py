"""The rack's own network: a namespace with a bridge and no route out. It needs no root where the kernel allows that."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pxeapp.errors import Unavailable

BRIDGE = "pxe0"
TUN = Path("/dev/net/tun")
TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace (without root: in a user namespace), held by a sleeping process."""

    holder: int
    user: bool

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` inside."""
        own = ["-U", "--preserve-credentials"] if self.user else []
        return ["nsenter", "-t", str(self.holder), *own, "-n", "--", *command]

    def run(self, *command: str) -> str:
        """Run to the end; raises Unavailable with what the command said."""
        done = subprocess.run(self.argv(command), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode:
            raise Unavailable(f"`{' '.join(command)}` failed in the rack's network: {done.stderr.strip()}")
        return done.stdout

    def start(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[bytes]:
        """Start a command inside, in a session of its own."""
        return subprocess.Popen(
            self.argv(command), env=dict(os.environ) if env is None else dict(env), start_new_session=True, **more
        )


def create() -> Namespace:
    """A fresh namespace with loopback up; raises Unavailable with what the kernel does not allow."""
    if not os.access(TUN, os.R_OK | os.W_OK):
        raise Unavailable(
            f"{TUN} cannot be used, so virtual machines get no network.", hint="Run as root, or allow it."
        )
    user = os.geteuid() != 0
    flags = ["-U", "-r", "-n"] if user else ["-n"]
    holder = subprocess.Popen(
        ["unshare", *flags, "sh", "-c", "echo ready; exec sleep infinity"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert holder.stdout is not None and holder.stderr is not None  # noqa: S101, PT018 - pipes were asked for
    if holder.stdout.readline() != b"ready\n":
        said = holder.stderr.read().decode(errors="replace").strip()
        holder.wait()
        raise Unavailable(
            f"No network namespace can be made here: {said}",
            hint="Run as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1).",
        )
    holder.stdout.close()
    holder.stderr.close()
    # From here on it belongs to whoever takes the rack down; Popen must not complain that nobody waited for it.
    holder.returncode = 0
    namespace = Namespace(holder.pid, user)
    namespace.run("ip", "link", "set", "lo", "up")
    return namespace


def wire(namespace: Namespace, address: str, prefix: int, bmcs: Sequence[str], taps: Sequence[str]) -> None:
    """The bridge with the appliance's address, an address per BMC, and a tap per machine."""
    namespace.run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
    namespace.run("ip", "addr", "add", f"{address}/{prefix}", "dev", BRIDGE)
    for bmc in bmcs:
        namespace.run("ip", "addr", "add", f"{bmc}/{prefix}", "dev", BRIDGE)
    namespace.run("ip", "link", "set", BRIDGE, "up")
    for tap in taps:
        namespace.run("ip", "tuntap", "add", tap, "mode", "tap")
        namespace.run("ip", "link", "set", tap, "master", BRIDGE, "up")


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
