"""What a part's program put into the background to work with it is left alone; whatever else lost its parent ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, shutil, subprocess, sys, time
from pathlib import Path
from pxeapp.supervisor import leftovers

folder = Path(sys.argv[1])
leftovers.adopt()
for name in ("gpg-agent", "stray"):
    shutil.copy("/bin/sleep", folder / name)
    subprocess.run(["sh", "-c", f"{folder / name} 60 & echo $! > {folder / name}.pid"], check=True)
pids = {name: int((folder / f"{name}.pid").read_text()) for name in ("gpg-agent", "stray")}
alive = lambda name: Path(f"/proc/{pids[name]}").exists()
print(leftovers.end_orphans([]), alive("gpg-agent"), alive("stray"))
leftovers.HELPS_S = -1.0
print(leftovers.end_orphans([]), alive("gpg-agent"))
subprocess.run(["sh", "-c", f"{folder / 'gpg-agent'} 60 & echo $! > {folder / 'again'}"], check=True)
pids["again"] = int((folder / "again").read_text())
leftovers.HELPS_S = 300.0
os.kill(pids["again"], 15)
until = time.monotonic() + 20
while alive("again") and time.monotonic() < until:
    assert leftovers.end_orphans([]) == 0
    time.sleep(0.05)
print(alive("again"))
subprocess.run(["sh", "-c", f"{folder / 'gpg-agent'} 60 & echo $! > {folder / 'last'}"], check=True)
pids["last"] = int((folder / "last").read_text())
print(leftovers.end_orphans([], spare=False), alive("last"))
"""


def test_gpgs_agent_is_spared_for_a_while_and_no_longer(tmp_path: Path) -> None:

    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "1 True False",  # the stray went, the agent did not
        "0 False",  # nor does it stay for ever; nothing is said of it
        "False",  # one that has ended is no zombie of ours
        "0 False",  # at our own end all of them go
    ]
