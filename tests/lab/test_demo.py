"""`make demo QUICK=1`, as a stranger runs it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import needs

pytestmark = [*needs.APPLIANCE, pytest.mark.timeout(1200)]


@pytest.mark.usefixtures("standin")
def test_the_quick_demo_ends_with_every_machine_active_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "pxeapp.lab.demo", "--quick", "--folder", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1100,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "every machine is active" in done.stdout
    assert "stand-in" in done.stdout, "it must say that Anaconda is not what runs there"
    for machine in ("compute1", "storage1"):
        assert any(machine in line and "succeeded" in line for line in done.stdout.splitlines())
    assert not (folder / "rack" / "rack.json").exists()
    deadline = time.monotonic() + 60
    while (left := _left(folder)) and time.monotonic() < deadline:
        time.sleep(0.5)  # what was killed may take a moment to be gone
    assert left == []


def _left(folder: Path) -> list[str]:
    """The processes that still belong to this run: its folder stands in their command line or settings."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said:
            found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found
