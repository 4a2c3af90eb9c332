"""Two `pxeapp serve` on one data directory would fight; a lock that somebody killed left behind bars nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pxeapp.cli import main
from pxeapp.supervisor.lock import AlreadyServed, only_one

HOLDER = """
import sys, time
from pathlib import Path
from pxeapp.supervisor.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_serve_is_refused_with_the_firsts_number(tmp_path: Path) -> None:
    run_dir = tmp_path / "data" / "run"
    run_dir.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(run_dir)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        result = CliRunner().invoke(main, ["serve"], env={"PXEAPP_DATA_DIR": str(tmp_path / "data")})
        holder.kill()
    assert result.exit_code == 1
    assert f"already runs on {tmp_path / 'data'}, as process {holder.pid}." in result.output
    assert "PXEAPP_DATA_DIR" in result.output
    with only_one(run_dir):  # the first one is dead, its file is still there
        assert (run_dir / "serve.lock").read_text() != f"{holder.pid} pxeapp serve\n"


def test_the_lock_is_free_after_a_clean_end(tmp_path: Path) -> None:
    for _ in range(2):
        with only_one(tmp_path), pytest.raises(AlreadyServed), only_one(tmp_path):
            pass
