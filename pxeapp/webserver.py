"""gunicorn, started from code: threads for waiting clients, and no access log that could hold a token."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

WORKERS = 2
THREADS = 16
GRACEFUL_STOP_S = 10


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn carries no types
    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in each worker after the fork: no connection or key is shared across it."""
        return self._make_app()


def run(make_app: Callable[[], Flask], *, bind: str, workers: int = WORKERS, threads: int = THREADS) -> None:
    """Serve until SIGTERM. `bind` is HOST:PORT or unix:PATH. Does not return."""
    if bind.startswith("unix:"):
        os.makedirs(os.path.dirname(bind.removeprefix("unix:")), exist_ok=True)  # noqa: PTH103, PTH120 - gunicorn's spelling
    _Server(
        make_app,
        {
            "bind": bind,
            "workers": workers,
            "worker_class": "gthread",
            "threads": threads,
            "graceful_timeout": GRACEFUL_STOP_S,
            "timeout": 60,
            "keepalive": 5,
            "loglevel": "warning",
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108, PTH112 - no disk wait in the heartbeat
            "forwarded_allow_ips": "",
            "proc_name": "pxeapp",
            "umask": 0o077,
        },
    ).run()
