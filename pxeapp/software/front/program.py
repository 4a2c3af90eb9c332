"""nginx as a program: found, asked whether a configuration is one, started, stopped.

An nginx whose master was killed leaves workers that go on listening; they are found by the process group on record and
ended before a new one starts.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from pxeapp.errors import PxeError

# /usr/sbin is not on every user's PATH.
PROGRAMS = ("nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx")
TEST_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 12.0
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here, since a forked child must not load anything


class NginxFailed(PxeError):
    """nginx refused its configuration or ended by itself."""

    title = "The front does not run"


def program() -> str | None:
    """nginx's path, or None where it is not installed: then the node application listens on NODE_LISTEN itself."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def write_checked(nginx: str, folder: Path, text: str) -> None:
    """Put the configuration in place when nginx accepts it; otherwise the old one stays and NginxFailed is raised."""
    candidate = folder / "nginx.conf.new"
    candidate.write_text(text)
    result = subprocess.run(
        [nginx, "-t", "-q", "-p", f"{folder}/", "-c", str(candidate)],
        capture_output=True,
        text=True,
        timeout=TEST_TIMEOUT_S,
        check=False,
    )
    if result.returncode != 0:
        raise NginxFailed(f"nginx refuses its configuration: {result.stderr.strip()[-500:]}")
    candidate.replace(folder / "nginx.conf")


def start(nginx: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start it with the configuration that lies in the folder."""
    with (folder / "stderr.log").open("wb") as said:
        process = subprocess.Popen(  # a group of its own, by which leftovers are found
            [nginx, "-p", f"{folder}/", "-c", str(folder / "nginx.conf")],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    (folder / "group").write_text(str(process.pid))
    return process


def _end_with_parent() -> None:
    """Have the kernel end nginx when this process is killed, so that the next one finds the port free."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it: gently, then not."""
    for number, wait_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
    _end_group(process.pid)


def end_leftovers(record: Path) -> None:
    """End the workers that a killed master has left."""
    try:
        _end_group(int(record.read_text()))
    except (OSError, ValueError):
        return


def _end_group(group: int) -> None:
    """End the nginx processes of a group that we started; anything else of that number is left alone."""
    deadline = time.monotonic() + 5.0
    while (members := _members(group)) and time.monotonic() < deadline:
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _members(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z" and (entry / "cmdline").read_bytes().startswith(b"nginx:"):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def last_error(folder: Path) -> str:
    """The last thing that it said."""
    for name in ("stderr.log", "error.log"):
        path = folder / name
        if path.exists() and (lines := path.read_text(errors="replace").strip().splitlines()):
            return lines[-1][-300:]
    return "it said nothing."
