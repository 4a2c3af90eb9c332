"""The queue: Huey carries hints ("look at deployment 7 now") to the workers.

A hint may be lost or come twice; the rows are the truth and the ticker finds what a lost hint left.
Huey pickles its tasks, so whoever can write the queue runs code in the worker: the store is ours alone.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huey.api import Huey, RedisHuey
from huey.storage import SqliteStorage

from pxeapp.errors import ConfigError, Unavailable

try:
    from redis.exceptions import RedisError
except ImportError:  # only a scaled-out installation has it

    class RedisError(Exception):  # type: ignore[no-redef]
        """Stands for what cannot be raised here."""


QUEUE_NAME = "pxeapp"
REDIS_TIMEOUT_S = 3.0  # longer than the second for which a worker waits for the next task
AWAY = (sqlite3.Error, OSError, RedisError)  # RedisError is no OSError, not even its ConnectionError
log = logging.getLogger(__name__)


class Queue:
    """Takes hints; in a worker process `look` says what is done with them."""

    def __init__(self, url: str, *, look: Callable[[int], None] | None = None) -> None:
        self.huey = _open(url)

        def look_at(deployment_id: int) -> None:
            if look is not None:
                look(deployment_id)

        # Registered in every process under the same name: that is how the worker finds what the web process meant.
        self._task: Any = self.huey.task(name="look_at")(look_at)  # type: ignore[no-untyped-call]

    def hint(self, deployment_id: int, *, delay_s: float = 0.0) -> bool:
        """Ask for a look; False when the queue is away, which costs seconds, not work: the ticker comes by anyway."""
        try:
            if delay_s:
                self._task.schedule(args=(deployment_id,), delay=delay_s)
            else:
                self._task(deployment_id)
        except AWAY as error:
            log.warning("The queue took no hint for deployment %s (%s); the ticker will find it.", deployment_id, error)
            return False
        return True

    def waiting(self) -> int:
        """How many hints nobody has taken yet; raises Unavailable when the queue is away."""
        try:
            return int(self.huey.pending_count())  # type: ignore[no-untyped-call]
        except AWAY as error:
            raise Unavailable(
                f"The queue cannot be used: {error}.", hint="Check PXEAPP_QUEUE_URL and whether it is up."
            ) from error


class _File(SqliteStorage):
    """Huey's file, but made when it is first needed, and opened anew after trouble: its disk may be another by then."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings, create_tables=False)  # type: ignore[no-untyped-call]
        self._ready = False

    @contextlib.contextmanager
    def db(self, commit: bool = False, close: bool = False) -> Iterator[Any]:  # noqa: FBT001, FBT002 - huey's own
        """A cursor."""
        try:
            if not self._ready:
                self._ready = True
                self.initialize_schema()  # type: ignore[no-untyped-call]
            with super().db(commit, close) as cursor:
                yield cursor
        except sqlite3.Error:
            self._ready = False
            self.close()
            raise

    def close(self) -> bool:
        """Huey's own fails where two threads meet the same trouble at the same moment."""
        with self.lock:
            connection, self._conn = self._conn, None
        if connection is not None:
            connection.close()
        return connection is not None


class OneLine(logging.Filter):
    """A queue that is away, said by Huey's consumer once in a while and in a line, not each second by a traceback."""

    EVERY_S = 60.0
    LOGGERS = ("huey", "huey.consumer", "huey.consumer.Scheduler", "huey.consumer.Worker")

    def __init__(self) -> None:
        super().__init__()
        self._said_at = -self.EVERY_S

    def install(self) -> None:
        """On each of Huey's loggers: a filter does not hold for those below."""
        for name in self.LOGGERS:
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is said."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, AWAY):
            return True
        if time.monotonic() - self._said_at < self.EVERY_S:
            return False
        self._said_at = time.monotonic()
        record.exc_info = None
        record.msg, record.args = "The queue cannot be used: %s. Meanwhile the ticker does the work.", (error,)
        return True


def _open(url: str) -> Huey:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = Path(parts.path[1:] if parts.path.startswith("//") else parts.path)
        with contextlib.suppress(OSError):  # a full or a read-only disk: whoever needs the queue will say so
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=True)
        return Huey(  # type: ignore[no-untyped-call]
            QUEUE_NAME, storage_class=_File, filename=str(path), results=False, timeout=30
        )
    if parts.scheme in ("redis", "rediss", "unix"):
        return RedisHuey(  # type: ignore[no-untyped-call]
            QUEUE_NAME, connection_pool=_redis_pool(url), results=False, blocking=True, read_timeout=1
        )
    raise ConfigError(
        f"PXEAPP_QUEUE_URL starts with {parts.scheme!r}.", hint="Use sqlite:///path or redis://host:port/0."
    )


def _redis_pool(url: str) -> Any:
    """Connections that give up: a web request must not wait for a Redis that swallows packets."""
    try:
        redis = importlib.import_module("redis")
    except ImportError:
        raise ConfigError(
            "PXEAPP_QUEUE_URL names Redis, whose client is not installed.", hint="Install pxeapp[scale-out]."
        ) from None
    try:
        pool = redis.ConnectionPool.from_url(
            url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
        )
    except ValueError:
        raise ConfigError(
            "PXEAPP_QUEUE_URL is not a Redis URL.", hint="Write redis://HOST:PORT/0 or unix:///PATH/redis.sock."
        ) from None
    return pool
