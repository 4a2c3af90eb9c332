"""Parts that say by themselves that they are there: each beats on its pipe, and is silent while stopped."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp import config, migrations, supervisor
from pxeapp.db import Database
from pxeapp.processes import beating
from pxeapp.processes.beating import Heart
from pxeapp.provisioning import worker as working
from pxeapp.provisioning.worker import Worker
from tests.ports import free_port

BEATING = {part.name: part for part in supervisor.parts(front=True, dhcp=True) if part.beats is not None}
PATIENCE_S = 60.0  # of a busy host


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def beats(reader: int, within_s: float) -> bool:
    ready, _, _ = select.select([reader], [], [], within_s)
    return bool(ready) and bool(os.read(reader, 65_536))


@pytest.mark.network
@pytest.mark.parametrize("name", BEATING)
def test_the_part_beats_and_is_silent_while_it_is_stopped(name: str, pipe: tuple[int, int], tmp_path: Path) -> None:
    environment = {
        "PXEAPP_DATA_DIR": str(tmp_path),
        "PXEAPP_TFTP_LISTEN": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
        "PXEAPP_TFTP_NETWORKS": "192.0.2.0/24",  # where nobody is: it is not asked
        "PXEAPP_DHCP": "proxy",
        "PXEAPP_DHCP_INTERFACE": "lo",
        "PXEAPP_NODE_URL": "http://127.0.0.1:8081",
    }
    settings = config.load(environment)
    migrations.upgrade(Database(settings.database_url))
    reader, writer = pipe
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PXEAPP_")}
    process = subprocess.Popen(
        [*BEATING[name].argv, f"--beat={writer}"], pass_fds=[writer], env={**kept, **environment}
    )
    try:
        for _ in range(2):
            assert beats(reader, PATIENCE_S)
        process.send_signal(signal.SIGSTOP)
        while beats(reader, 0.0):  # those of before
            pass
        assert not beats(reader, 2.5 * beating.EVERY_S)
        process.send_signal(signal.SIGCONT)
        assert beats(reader, PATIENCE_S)
    finally:
        process.kill()
        process.wait()


def test_a_heart_that_nobody_listens_to_or_hears_in_time_waits_for_nobody(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    Heart(None).beat()
    heart = Heart(writer)
    for _ in range(100_000):  # more than the pipe takes
        heart.beat()
    os.read(reader, 10)
    assert not os.get_inheritable(writer)


def test_who_does_not_live_does_not_beat(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "EVERY_S", 0.01)
    reader, writer = pipe
    stop, lives = threading.Event(), threading.Event()
    Heart(writer, lives.is_set).begin(stop)
    assert not beats(reader, 0.3)
    lives.set()
    assert beats(reader, PATIENCE_S)
    stop.set()


def test_a_worker_lives_while_its_ticker_moves(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path / "data"), "PXEAPP_DATABASE_URL": database.url})
    worker = Worker(settings)
    assert worker.ticks
    monkeypatch.setattr(working, "TICKS_WITHIN_S", 0.3)
    time.sleep(0.4)
    assert not worker.ticks
    worker.tick()
    assert worker.ticks
