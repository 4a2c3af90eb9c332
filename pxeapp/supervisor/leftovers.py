"""Processes whose parent is dead. They hold ports and files that the next one needs, and report to nobody.

Two ways to them: while we live, the kernel makes us the parent of every orphan below us; after we were killed, our
successor reads on record which process groups were ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
GONE_WITHIN_S = 5.0
LIBC = ctypes.CDLL(None)
HELPERS = frozenset({"gpg-agent"})
HELPS_S = 300.0  # far longer than one signs or makes a key; who started it was killed, and it holds that key
OURS = b"pxeapp"  # in the command line of every process that leads a group of ours


def adopt() -> None:
    """From now on orphans below us are our children."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(known: Iterable[int], *, within_s: float = GONE_WITHIN_S, spare: bool = True) -> int:
    """Kill our children that are not among the known, and theirs as they become ours; returns how many, no helpers.

    With `spare`, what a program of a part has put into the background to go on working with it is left alone for a
    while: gpg's agent, without which a signature that is being made fails. One that has ended is only taken note of.
    """
    parts = set(known)
    ended: set[int] = set()
    deadline = time.monotonic() + within_s
    while found := _orphans(parts, spare=spare):
        for pid in found:
            helps = _name(pid) in HELPERS
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                if os.waitpid(pid, os.WNOHANG)[0] and not helps:  # one that the kernel holds is looked at again
                    ended.add(pid)
        if time.monotonic() >= deadline:
            break
        time.sleep(0.005)
    return len(ended)


def _orphans(parts: set[int], *, spare: bool) -> list[int]:
    found = []
    for pid in _children():
        if pid in parts:
            continue
        about = _stat(pid)
        if about is not None and about[0] == "Z" and _name(pid) in HELPERS:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        elif not (spare and about is not None and _name(pid) in HELPERS and _age_s(about) < HELPS_S):
            found.append(pid)
    return found


def end_group(leader: int) -> None:
    """Kill whoever is left of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


class Record:
    """Which process groups are ours, on disk. Numbers are given anew: each has its beginning and the boot beside it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, leaders: Iterable[int]) -> None:
        """The processes that we started, each of which leads a group."""
        if self._path is not None:
            fresh = self._path.with_name(f"{self._path.name}.new")
            fresh.write_text("".join(f"{leader} {_began(leader)} {_boot()}\n" for leader in leaders))
            fresh.replace(self._path)

    def end_all(self) -> list[int]:
        """Kill what is left of those on record; returns the leaders of the groups ended."""
        if self._path is None or not self._path.exists():
            return []
        ended = []
        for line in self._path.read_text().splitlines():
            leader, began, boot = [*line.split(), "", "", ""][:3]
            if leader.isdigit() and boot == _boot() and _is_ours(int(leader), began):
                ended.append(int(leader))
                end_group(int(leader))
        deadline = time.monotonic() + GONE_WITHIN_S
        while any(_members(leader) for leader in ended) and time.monotonic() < deadline:
            time.sleep(0.02)
        return ended


def _is_ours(leader: int, began: str) -> bool:
    """A leader that began when ours did; or none any more, but members that say what they are.

    No process is given the number of a group that still has members.
    """
    if (now := _began(leader)) is not None:
        return now == began
    members = _members(leader)
    return bool(members) and all(_says_ours(pid) for pid in members)


def _says_ours(pid: int) -> bool:
    try:
        return OURS in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _children() -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):  # no descriptor is left: it is looked again
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def _members(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        about = _stat(int(entry.name))
        if about and about[2] == str(group) and about[0] not in "ZX":
            found.append(int(entry.name))
    return found


def _began(pid: int) -> str | None:
    """When a living process began, in clock ticks since the boot."""
    about = _stat(pid)
    return about[19] if about and about[0] not in "ZX" else None


def _stat(pid: int) -> list[str] | None:
    """From the third field of /proc/PID/stat on: state, parent, group, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _age_s(about: list[str]) -> float:
    """Of a process, by its line in /proc."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(about[19]) / os.sysconf("SC_CLK_TCK")


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
