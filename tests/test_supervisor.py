"""The supervisor with real child processes: restarts the dead, stops all, leaves no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

CHILD = """
import os, pathlib, signal, sys, time
with pathlib.Path(sys.argv[1]).open("a") as file:
    file.write(f"{os.getpid()}\\n")
if "polite" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
time.sleep(600)
"""
DRIVER = f"""
import sys
from pxeapp.supervisor import Part, Supervisor
def child(name, *words):
    return Part(name, [sys.executable, "-c", {CHILD!r}, sys.argv[1] + "/" + name, *words])
broken = Part("broken", [sys.executable, "-c", "raise SystemExit(3)"])
sys.exit(Supervisor([child("steady", "polite"), child("victim"), broken]).run())
"""


def wait_for(what: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen within 15 s")


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_a_killed_child_is_started_again_and_the_others_stay(supervisor: subprocess.Popen[str], tmp_path: Path) -> None:
    first = wait_for(lambda: pids(tmp_path / "victim"))[0]
    steady = wait_for(lambda: pids(tmp_path / "steady"))[0]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(pids(tmp_path / "victim")) > 1)
    assert alive(pids(tmp_path / "victim")[-1])
    assert pids(tmp_path / "steady") == [steady]
    assert alive(steady)


def test_sigterm_stops_every_child_and_exits_cleanly(supervisor: subprocess.Popen[str], tmp_path: Path) -> None:
    children = [wait_for(lambda name=name: pids(tmp_path / name))[0] for name in ("victim", "steady")]
    assert supervisor.stdout is not None
    assert "broken     ended with exit code 3" in supervisor.stdout.readline()
    supervisor.send_signal(signal.SIGTERM)
    output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    assert not any(alive(pid) for pid in children)
    assert "serve      stopping" in output


def test_when_the_supervisor_is_killed_no_orphan_keeps_running(
    supervisor: subprocess.Popen[str], tmp_path: Path
) -> None:
    children = [wait_for(lambda name=name: pids(tmp_path / name))[0] for name in ("victim", "steady")]
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not any(alive(pid) for pid in children))
