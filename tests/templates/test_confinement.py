"""What a confined process can still do: compute. Each thing that it must not is really tried."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pxeapp.templates import Templates
from pxeapp.templates.confinement import NOBODY
from pxeapp.templates.pool import Pool
from tests.templates.processes import renderers, zygotes

HOSTILE = """
import json, os, resource, signal, socket, subprocess, sys
from pxeapp.templates.confinement import confine

secret, own, parent = sys.argv[1], sys.argv[2], os.getppid()
attempts = {
    "read a file": lambda: open(secret).read(),
    "write a file": lambda: open(own, "w").write("x"),
    "write to a file that was open": lambda: held.write("x") and held.flush(),
    "remove a file": lambda: os.unlink(own),
    "list a folder": lambda: os.listdir("/"),
    "look into the environment of its parent": lambda: open(f"/proc/{parent}/environ").read(),
    "open a socket": lambda: socket.create_connection(("127.0.0.1", 9), 1),
    "open a socketpair": socket.socketpair,
    "fork": os.fork,
    "start a program": lambda: subprocess.run(["/bin/true"]),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(parent, 0),
    "take its limits back": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "become root": lambda: os.setuid(0),
    "take much memory": lambda: len(b"x" * (200 << 20)),
}
held = open(own, "w")
confine(memory=64 << 20, cpu_s=10)
could = []
for name, attempt in attempts.items():
    try:
        attempt()
        could.append(name)
    except Exception:
        pass
os.write(1, json.dumps([could, sum(range(1000))]).encode())
os._exit(0)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls are filtered on x86-64 only")
def test_a_confined_process_reaches_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(secret), str(tmp_path / "own")], capture_output=True, check=True, text=True
    )
    assert json.loads(done.stdout) == [[], 499500], done.stderr
    assert (tmp_path / "own").read_text() == ""


def test_a_process_without_filtered_system_calls_opens_nothing_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    elsewhere = HOSTILE.replace("held = ", "import platform; platform.machine = lambda: 'other'; held = ")
    elsewhere = elsewhere.replace('"become a program"', "#")  # it becomes one that can load no library, and ends
    done = subprocess.run(
        [sys.executable, "-c", elsewhere, str(tmp_path / "secret"), str(tmp_path / "own")],
        capture_output=True,
        check=True,
        text=True,
    )
    # What is left is what a user without any right may do, to nobody's harm: the folder is not his.
    left = set(json.loads(done.stdout)[0])
    assert left <= {"remove a file", "kill"}


@pytest.mark.usefixtures("alone")
def test_a_renderer_holds_nothing_of_ours(site: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_DATABASE_URL", "postgresql://pxeapp:secret@db/pxeapp")
    (site / "kickstarts/a.ks").write_text("a")
    secret = site / "secret.key"
    with secret.open("w"):
        assert Templates(site, pool=pool).render("kickstarts/a.ks") == "a"
    (zygote,) = zygotes()
    assert Path(f"/proc/{zygote}/environ").read_bytes() == b""
    assert descriptors(zygote) == {"0", "1", "2"}
    (renderer,) = renderers()
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{renderer}/status").read_text().splitlines())
    assert (status["NoNewPrivs"], int(status["CapEff"], 16), status["Threads"]) == ("1", 0, "1")
    if platform.machine() == "x86_64":
        assert status["Seccomp"] == "2"
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == {str(NOBODY)}
        assert descriptors(renderer) == {"0"}
        assert Path(f"/proc/{renderer}/environ").read_bytes() == b""


def descriptors(pid: int) -> set[str]:
    return {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()}
