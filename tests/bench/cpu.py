"""CPU seconds of a server, everything it starts included: the figure that a busy machine disturbs least.

A cgroup of its own where we may make one (root; version 1 or 2), else the sum over its process tree.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

TICKS = os.sysconf("SC_CLK_TCK")
V1 = Path("/sys/fs/cgroup/cpuacct")
V2 = Path("/sys/fs/cgroup")
_numbers = itertools.count()


class Server:
    """A program under measurement; a context manager that ends it, and its group, at the end."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        output: Path | None = None,
    ) -> None:
        self._group = _new_group()
        self._output: IO[bytes] | int = output.open("ab") if output else subprocess.DEVNULL
        self.process = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=self._join,
        )  # fmt: skip

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self.process.pid

    def cpu_s(self) -> float:
        """CPU seconds, user and system, of everything it ever ran."""
        if self._group is None:
            return sum(_ticks(pid) for pid in _tree(self.process.pid)) / TICKS
        if (usage := self._group / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        stat = dict(line.split() for line in (self._group / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6

    def memory_mib(self) -> float:
        """Memory of all its living processes; what several share counts once (PSS)."""
        total = 0
        for pid in _tree(self.process.pid):
            with contextlib.suppress(OSError, StopIteration, ValueError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
        return total / 1024

    def stop(self, *, within_s: float = 30.0) -> None:
        """Ask it to end, then insist; whatever it left in its group is ended too."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(within_s)
        for pid in self._members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not isinstance(self._output, int):
            self._output.close()
        if self._group is not None:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    self._group.rmdir()
                    return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.1)

    def _members(self) -> list[int]:
        if self._group is None:
            return _tree(self.process.pid)[1:]
        return [int(pid) for pid in (self._group / "cgroup.procs").read_text().split()]

    def _join(self) -> None:
        if self._group is not None:
            (self._group / "cgroup.procs").write_text(str(os.getpid()))


def how() -> str:
    """For the report: where the figures come from on this machine."""
    group = _new_group()
    if group is None:
        return "the process tree in /proc (10 ms steps; what a child used counts once it has been waited for)"
    group.rmdir()
    return "a cgroup per server"


def _new_group() -> Path | None:
    for root, proof in ((V1, "cpuacct.usage"), (V2, "cgroup.controllers")):
        if (root / proof).exists():
            group = root / f"pxeapp-bench-{os.getpid()}-{next(_numbers)}"
            with contextlib.suppress(OSError):
                group.mkdir()
                return group
    return None


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])  # utime, stime, and those of children that were waited for
