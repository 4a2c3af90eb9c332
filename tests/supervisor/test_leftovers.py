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
pids = {}


def orphan(name, program):
    shutil.copy("/bin/sleep", folder / program)
    command = ["sh", "-c", f"{folder / program} 60 >/dev/null & echo $!"]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    pids[name] = int(ran.stdout)
    while Path(f"/proc/{pids[name]}/comm").read_text().strip() != program:  # a shell's fork still
        time.sleep(0.01)


def alive(name):
    return Path(f"/proc/{pids[name]}").exists()


leftovers.adopt()
orphan("agent", "gpg-agent")
orphan("stray", "stray")
print(leftovers.end_orphans([]), alive("agent"), alive("stray"))
leftovers.HELPS_S = -1.0
print(leftovers.end_orphans([]), alive("agent"))
orphan("again", "gpg-agent")
leftovers.HELPS_S = 300.0
os.kill(pids["again"], 15)
until = time.monotonic() + 20
while alive("again") and time.monotonic() < until:
    assert leftovers.end_orphans([]) == 0
    time.sleep(0.05)
print(alive("again"))
orphan("last", "gpg-agent")
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
