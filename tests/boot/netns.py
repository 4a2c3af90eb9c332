"""A network namespace of a test's own: what runs in it is real, and the host's network never notices."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any


class Namespace:
    """A fresh network namespace (and, without root, a user namespace around it), held by a sleeping process."""

    def __init__(self) -> None:
        self._user = os.geteuid() != 0
        flags = ["-U", "-r", "-n"] if self._user else ["-n"]
        self._holder = subprocess.Popen(
            ["unshare", *flags, "sh", "-c", "echo ready; exec sleep 100000"], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.run("ip", "link", "set", "lo", "up")

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` inside."""
        user = ["-U", "--preserve-credentials"] if self._user else []
        return ["nsenter", "-t", str(self._holder.pid), *user, "-n", *argv]

    def run(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end; its failure fails the test."""
        return subprocess.run(self.command(argv), check=True, text=True, capture_output=True, timeout=60, **options)

    def popen(self, *argv: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command inside."""
        return subprocess.Popen(self.command(argv), **options)

    def __enter__(self) -> Namespace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


def wire(namespace: Namespace, address: str) -> None:
    """Two ends of a cable inside: `srv0` with the server's address, `cli0` for raw packets of a client."""
    namespace.run("ip", "link", "add", "srv0", "type", "veth", "peer", "name", "cli0")
    namespace.run("ip", "addr", "add", address, "dev", "srv0")
    namespace.run("ip", "link", "set", "srv0", "up")
    namespace.run("ip", "link", "set", "cli0", "up")


REPOSITORY = Path(__file__).parent.parent.parent
