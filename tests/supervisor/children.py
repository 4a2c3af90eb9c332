"""A supervisor in a process of its own, with children that behave badly, and how to look at them from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 60.0  # of a busy host

CHILD = """
import os, pathlib, signal, socket, subprocess, sys, time
folder, name, *words = sys.argv[1:]
place = pathlib.Path(folder) / name
if "polite" in words:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if "stubborn" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with place.open("a") as file:
    file.write(f"{os.getpid()}\\n")
if "parent" in words or "distant" in words:  # of one that holds a port
    listener = socket.create_server(("127.0.0.1", int(words[-1])))
    held = [sys.executable, "-c", "import time; time.sleep(600)", "pxeapp"]
    child = subprocess.Popen(held, pass_fds=[listener.fileno()], start_new_session="distant" in words)
    with place.with_suffix(".bound").open("a") as file:
        file.write(f"{child.pid}\\n")
if "server" in words:
    listener = socket.create_server(("127.0.0.1", int(words[-1])))
    while True:
        peer, _ = listener.accept()
        peer.recv(1000)
        peer.sendall(b"HTTP/1.0 204 No Content\\r\\n\\r\\n")
        peer.close()
        place.with_suffix(".asked").touch()
if "beating" in words:
    end = int(words[-1].partition("=")[2])
    while True:
        os.write(end, b".")
        place.with_suffix(".beat").touch()
        time.sleep(0.05)
if "chatty" in words:
    while True:
        print("x" * 1000, flush=True)
        place.with_suffix(".said").write_text(str(time.monotonic_ns()))
time.sleep(600)
"""
DRIVER = f"""
import sys
from functools import partial
from pathlib import Path
from pxeapp import supervisor
from pxeapp.supervisor import Part, Supervisor, leftovers, liveness
from pxeapp.supervisor.leftovers import Record

supervisor.STOP_WITHIN_S, supervisor.GONE_WITHIN_S, supervisor.END_WITHIN_S = 1.0, 2.0, 3.0
leftovers.GONE_WITHIN_S = 40.0
supervisor.WRITE_AGAIN_S = 0.2
liveness.ANSWERS_WITHIN_S = 0.3
folder, *said = sys.argv[1:]
parts = []
for each in said:
    name, *words = each.split(":")
    code = "raise SystemExit(3)" if "broken" in words else {CHILD!r}
    program = str(Path(folder) / "program") if "absent" in words else sys.executable
    part = Part(name, [program, "-c", code, folder, name, *words, ])
    if "server" in words:
        asked = partial(liveness.answers_http, ("127.0.0.1", int(words[-1])), "/")
        part.pulse = liveness.Pulse(asked, every_s=0.1, times=3)
    if "beating" in words:
        part.beats = liveness.Beats()
        part.pulse = liveness.Pulse(part.beats.heard, every_s=0.2, times=5)
    parts.append(part)
record = Record(Path(folder) / "record")
print("ended", len(record.end_all()), flush=True)
sys.exit(Supervisor(parts, record=record).run())
"""


def start(folder: Path, *parts: str) -> subprocess.Popen[str]:
    """A supervisor over these parts, written `name:word:word`."""
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), *parts],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(what: Callable[[], T | None]) -> T:
    """What is true at last."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it did not happen within {PATIENCE_S:g} s")


def pids(path: Path) -> list[int]:
    """The process numbers in a file, one a line."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def newest(folder: Path, name: str, *, after: int = 0) -> int:
    """The process of a part once it has been started more than `after` times."""
    return wait_for(lambda: pids(folder / name)[after:])[-1]


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
