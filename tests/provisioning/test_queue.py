"""The queue carries hints: delivered by SQLite and by a real Redis, and a queue that is away harms nobody."""

from __future__ import annotations

import logging
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from pxeapp.errors import ConfigError, Unavailable
from pxeapp.provisioning.queue import OneLine, Queue


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A real Redis on a unix socket that keeps nothing."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed; install the package redis-server.")
    folder = Path(tempfile.mkdtemp(prefix="pxeapp-redis-", dir="/tmp"))  # a socket's name must be short
    path = folder / "redis.sock"
    server = subprocess.Popen(
        [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(folder),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(lambda: path.exists() and _answers(path))
        yield f"unix://{path}?db=0"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


def _answers(path: Path) -> bool:
    with redis.Redis(unix_socket_path=str(path)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come up within a minute"
        time.sleep(0.02)


def consume(url: str, send: Callable[[], None], *, expected: int) -> list[int]:
    """What a worker process on the same queue looks at."""
    seen: list[int] = []
    enough = threading.Event()

    def look(deployment_id: int) -> None:
        seen.append(deployment_id)
        if len(seen) >= expected:
            enough.set()

    consumer = Queue(url, look=look).huey.create_consumer(
        workers=2, worker_type="thread", periodic=False, max_delay=0.1, check_worker_health=False
    )
    consumer.start()
    try:
        send()
        assert enough.wait(60), f"only {seen} came"
    finally:
        consumer.stop(graceful=True)
    return seen


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'run' / 'queue.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("redis_url")
    )


def test_a_hint_of_one_process_is_what_the_worker_looks_at(url: str) -> None:
    sender = Queue(url)  # as the web process has it: nothing is looked at here

    def send() -> None:
        sender.hint(7)
        sender.hint(8)
        sender.hint(9, delay_s=0.05)

    assert sorted(consume(url, send, expected=3)) == [7, 8, 9]


def test_hints_wait_for_a_worker_that_is_not_there_yet(url: str) -> None:
    sender = Queue(url)
    sender.hint(7)
    assert consume(url, lambda: None, expected=1) == [7]


def test_threads_that_meet_the_same_trouble_close_the_file_once(tmp_path: Path) -> None:
    queue = Queue(f"sqlite:///{tmp_path / 'queue.db'}")
    queue.hint(1)
    storage, closed = queue.huey.storage, []
    threads = [threading.Thread(target=lambda: closed.append(storage.close())) for _ in range(2)]
    with storage.lock:
        for thread in threads:
            thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join(30)
    assert sorted(closed) == [False, True]


@pytest.mark.redis
def test_a_redis_that_goes_away_costs_hints_and_comes_back(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(redis_url)
    queue.hint(1)
    assert caplog.text == ""
    path = Path(redis_url.removeprefix("unix://").split("?")[0])
    hidden = path.rename(path.with_suffix(".away"))
    queue.huey.storage.pool.disconnect()
    queue.hint(2)
    queue.hint(3, delay_s=1)
    assert caplog.text.count("took no hint") == 2
    hidden.rename(path)
    queue.hint(4)
    assert caplog.text.count("took no hint") == 2


def test_a_redis_that_was_never_there_does_not_raise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Queue(f"unix://{tmp_path / 'nobody.sock'}").hint(7)
    with socket.socket() as held:  # bound, not listening: connections are refused
        held.bind(("127.0.0.1", 0))
        Queue(f"redis://127.0.0.1:{held.getsockname()[1]}/0").hint(8)
    assert caplog.text.count("took no hint") == 2


def test_a_redis_that_says_nothing_does_not_hold_a_request_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pxeapp.provisioning.queue.REDIS_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Queue(f"redis://127.0.0.1:{silent.getsockname()[1]}/0").hint(7)
    assert "took no hint for deployment 7" in caplog.text


def test_a_sqlite_queue_that_cannot_be_written_does_not_raise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "queue.db"
    queue = Queue(f"sqlite:///{path}")
    queue.huey.storage.close()
    for file in tmp_path.iterdir():
        file.unlink()
    path.mkdir()
    queue.hint(7)
    assert "took no hint for deployment 7" in caplog.text


def test_a_sqlite_queue_is_ours_alone(tmp_path: Path) -> None:
    """Whoever can write it runs code in the worker."""
    path = tmp_path / "run" / "queue.db"
    Queue(f"sqlite:///{path}").hint(1)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("url", ["amqp://x", "nonsense", "", "redis://h:port/0"])
def test_a_bad_url_is_one_sentence(url: str) -> None:
    with pytest.raises(ConfigError, match="PXEAPP_QUEUE_URL") as caught:
        Queue(url)
    assert caught.value.hint


def test_a_queue_whose_disk_was_away_is_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    queue = Queue(f"sqlite:///{folder / 'queue.db'}")
    (folder / "queue.db").write_bytes(b"nonsense" * 1000)
    assert not queue.hint(1)
    with pytest.raises(Unavailable):
        queue.waiting()
    folder.rename(tmp_path / "away")
    assert not queue.hint(2)
    folder.mkdir()
    assert queue.hint(3)
    assert queue.waiting() == 1  # hints may be lost; that is what the ticker is for


def test_huey_says_that_the_queue_is_away_in_one_line_and_not_each_second(caplog: pytest.LogCaptureFixture) -> None:
    said = OneLine()
    said.install()
    scheduler = logging.getLogger("huey.consumer.Scheduler")
    try:
        for _ in range(5):
            try:
                raise sqlite3.OperationalError("database or disk is full")
            except sqlite3.Error:
                scheduler.exception("Error reading schedule.")
        scheduler.error("Something else")
    finally:
        for name in OneLine.LOGGERS:
            logging.getLogger(name).removeFilter(said)
    assert [record.getMessage() for record in caplog.records] == [
        "The queue cannot be used: database or disk is full. Meanwhile the ticker does the work.",
        "Something else",
    ]
    assert "Traceback" not in caplog.text
