"""The front: nginx on NODE_LISTEN, which follows what is configured without a restart.

`run` ends when nginx ends, and the supervisor starts it anew. Meanwhile it looks every two seconds whether an operator
has changed an upstream, and every few minutes for upstreams' addresses; what nginx refuses is not taken, and the
problem stands with the upstream. Beside nginx run the index sets (cache/indexes/) and who counts the access log.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Unavailable
from pxeapp.software import upstreams
from pxeapp.software.cache import moving
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.counting import Counting
from pxeapp.software.cache.indexes.serving import Indexes
from pxeapp.software.cache.service import addresses
from pxeapp.software.front.following import Following
from pxeapp.software.front.program import NginxFailed, end_leftovers, last_error, program, start, stop
from pxeapp.software.front.spec import Front, Served, Tls

__all__ = ["NginxFailed", "describe", "node_socket", "program", "run"]

LOOK_EVERY_S = 0.5
WORKERS = max(2, min(4, os.cpu_count() or 2))
log = logging.getLogger(__name__)


def node_socket(settings: Settings) -> Path:
    """The unix socket on which the node application answers the front."""
    return settings.run_dir / "node.sock"


def describe(settings: Settings, known: Mapping[str, Configured], *, as_root: bool) -> Front:
    """What the configuration is made from, with the upstreams resolved now."""
    run_dir, cache_dir = settings.run_dir / "front", settings.data_dir / "cache"
    tls = None
    if settings.node_tls_listen and settings.node_tls_certificate and settings.node_tls_key:
        tls = Tls(str(settings.node_tls_listen), settings.node_tls_certificate, settings.node_tls_key)
    return Front(
        listen=str(settings.node_listen),
        run_dir=run_dir,
        node_socket=node_socket(settings),
        indexes_socket=run_dir / "indexes.sock",
        media_dir=settings.media_dir,
        repo_dir=settings.data_dir / "repo",
        udebs_dir=settings.data_dir / "udebs",
        cache_dir=cache_dir / "packages",
        indexes_dir=cache_dir / "indexes",
        access_log=run_dir / "access.log",
        error_log=run_dir / "error.log",
        own_hosts=_own_hosts(settings),
        mirrors=[_served(known[name]) for name in sorted(known)],
        tls=tls,
        user="root" if as_root else "",
        workers=WORKERS,
    )


def run(settings: Settings, *, stop_now: threading.Event | None = None) -> None:
    """Run the front until told to stop, a signal to end comes, or nginx ends; raises NginxFailed for the latter.

    SIGHUP has everything looked at anew. Signals are handled only when called in the main thread.
    """
    nginx = program()
    if nginx is None:
        raise Unavailable(
            "nginx is not installed, so there is no package mirror and files are served by the node application.",
            hint="Install nginx-light (or any nginx).",
        )
    ending, look_now = stop_now or threading.Event(), threading.Event()
    _handle_signals(ending, look_now)
    folder, cache_dir = settings.run_dir / "front", settings.data_dir / "cache"
    for needed in (folder, settings.media_dir, cache_dir / "packages", settings.data_dir / "repo"):
        needed.mkdir(parents=True, exist_ok=True)
    end_leftovers(folder / "group")
    moving.adopt(cache_dir / "packages")
    database = Database(settings.database_url)
    indexes = Indexes(cache_dir / "indexes", folder / "indexes.sock")
    following = Following(settings, database, indexes, nginx, describe)
    counting = Counting(database, folder, following)
    try:
        following.begin()
        process = start(nginx, folder)
        counting.begin(process.pid)
        try:
            _attend(process, folder, following, ending, look_now)
        finally:
            stop(process)
            (folder / "group").unlink(missing_ok=True)
            counting.end()
    finally:
        following.end()
        indexes.close()
        database.dispose()


def _attend(
    process: subprocess.Popen[bytes],
    folder: Path,
    following: Following,
    ending: threading.Event,
    look_now: threading.Event,
) -> None:
    """Wait for the end, and meanwhile follow what is configured."""
    while not ending.wait(LOOK_EVERY_S):
        if process.poll() is not None:
            raise NginxFailed(f"nginx ended by itself with {process.returncode}: {last_error(folder)}")
        if following.look(time.monotonic(), at_once=look_now.is_set()):
            process.send_signal(signal.SIGHUP)
        look_now.clear()


def _served(known: Configured) -> Served:
    return Served(
        known.upstream,
        upstreams.resolve(known.upstream),
        max_bytes=known.max_bytes,
        offline=known.offline,
        keep_packages=known.keep_packages,
        hosts=addresses(known),
    )


def _own_hosts(settings: Settings) -> tuple[str, ...]:
    """What machines call us: they may ask for that through us as a proxy, too."""
    host = urlsplit(settings.node_url).hostname or ""
    bracketed = f"[{host}]" if ":" in host else host
    own = {urlsplit(settings.node_url).netloc, f"{bracketed}:{settings.node_listen.port}"}
    return tuple(sorted(each for each in own if not each.startswith(":")))


def _handle_signals(ending: threading.Event, look_now: threading.Event) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        ending.set()

    def renew(_number: int, _frame: FrameType | None) -> None:
        look_now.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, renew)
