"""The few tests that failed while three ran at a time, once more and alone: those that need a quiet host are named.

Firmware, kernels and dozens of processes share the cores with the tests; a deadline that holds on any rack may pass on
such a host. What fails again fails; more than a handful is never an accident. Their files run whole: what is built once
for a file (a cache, a cluster) is at a test as those before it have left it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FEW = 5
FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """The exit code of `make test` after a run with failures."""
    failed = sorted(json.loads(FAILED.read_text())) if FAILED.exists() else []
    if not 0 < len(failed) <= FEW:
        return 1
    print(f"\nOnce more, alone: {len(failed)} that failed beside others.", flush=True)
    files = dict.fromkeys(name.partition("::")[0] for name in failed)
    code = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:xdist", *files], check=False).returncode
    for name in failed if code == 0 else ():
        print(f"UNSTEADY: {name} failed beside other tests and passed alone.", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
