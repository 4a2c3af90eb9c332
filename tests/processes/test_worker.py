"""The worker process: what rollouts need is loaded when there is one, and then they go on."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pxeapp import config
from pxeapp.db import Database
from pxeapp.processes.worker import Rollouts
from pxeapp.provisioning.worker import Worker
from pxeapp.rollouts.runner import Runner
from tests.rollouts.stage import Stage, spec


def test_a_worker_without_a_rollout_loads_neither_ssh_nor_openstack() -> None:
    script = (
        "import sys, pxeapp.processes.worker; print(*({'asyncssh', 'openstack', 'pyghmi', 'sushy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split() == []


def test_the_runner_begins_when_there_is_a_rollout_and_not_before(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path / "data"), "PXEAPP_DATABASE_URL": database.url})
    stage, stop, runs = Stage.of(database, tmp_path), threading.Event(), threading.Event()

    def run(_runner: Runner, until: threading.Event) -> None:
        runs.set()
        until.wait(20)

    monkeypatch.setattr(Runner, "run", run)
    thread = threading.Thread(target=Rollouts(settings, Worker(settings)).run, args=(stop,))
    thread.start()
    try:
        assert not runs.wait(1.5)
        stage.machines(1)
        stage.rollout(spec())
        assert runs.wait(20)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
