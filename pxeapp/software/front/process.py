"""The front: nginx on NODE_LISTEN, configured from the settings and kept running with upstreams' present addresses.

`run` ends when nginx ends, and the supervisor starts it anew. An nginx whose master was killed leaves workers that go
on listening; they are found by the process group on record and ended before a new one starts.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pxeapp.config import Listen, Settings
from pxeapp.errors import PxeError, Unavailable
from pxeapp.software import upstreams
from pxeapp.software.door import Door
from pxeapp.software.front import nginx as configuration
from pxeapp.software.upstreams import Upstream

log = logging.getLogger(__name__)

# /usr/sbin is not on every user's PATH.
PROGRAMS = ("nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx")
TEST_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 12.0
RESOLVE_EVERY_S = 300.0
RETRY_RESOLVE_EVERY_S = 15.0
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here, since a forked child must not load anything


class NginxFailed(PxeError):
    """nginx refused its configuration or ended by itself."""

    title = "The front does not run"


def program() -> str | None:
    """nginx's path, or None where it is not installed: then the node application listens on NODE_LISTEN itself."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def node_socket(settings: Settings) -> Path:
    """The unix socket on which the node application answers the front."""
    return settings.run_dir / "node.sock"


def describe(settings: Settings, known: dict[str, Upstream], *, as_root: bool) -> configuration.Front:
    """What the configuration is made from, with the upstreams resolved now."""
    run_dir = settings.run_dir / "front"
    return configuration.Front(
        listen=_listen(settings.node_listen),
        run_dir=run_dir,
        node_socket=node_socket(settings),
        media_dir=settings.media_dir,
        repo_dir=settings.data_dir / "repo",
        udebs_dir=settings.data_dir / "udebs",
        cache_dir=settings.data_dir / "cache" / "packages",
        access_log=run_dir / "access.log",
        error_log=run_dir / "error.log",
        mirrors=[configuration.Served(known[name], upstreams.resolve(known[name])) for name in sorted(known)],
        user="root" if as_root else "",
        workers=max(2, min(4, os.cpu_count() or 2)),
    )


def run(settings: Settings, *, stop: threading.Event | None = None) -> None:
    """Run the front until `stop` is set, a signal to end comes, or nginx ends; raises NginxFailed for the latter.

    SIGHUP rewrites the configuration and reloads it. Signals are handled only when called in the main thread.
    """
    nginx = program()
    if nginx is None:
        raise Unavailable(
            "nginx is not installed, so there is no package mirror and files are served by the node application.",
            hint="Install nginx-light (or any nginx).",
        )
    stop = stop or threading.Event()
    reload_now = threading.Event()
    _handle_signals(stop, reload_now)
    folder = settings.run_dir / "front"
    for needed in (folder, settings.media_dir, settings.data_dir / "cache" / "packages", settings.data_dir / "repo"):
        needed.mkdir(parents=True, exist_ok=True)
    _end_leftovers(folder / "group")
    known, door = _with_doors(upstreams.configured(settings), settings.run_dir / "proxy-door.sock")
    try:
        front = describe(settings, known, as_root=os.geteuid() == 0)
        _write_checked(nginx, folder, configuration.render(front))
        process = _start(nginx, folder)
        try:
            _attend(
                process, nginx, folder, lambda: describe(settings, known, as_root=os.geteuid() == 0), stop, reload_now
            )
        finally:
            _stop(process)
            (folder / "group").unlink(missing_ok=True)
    finally:
        if door is not None:
            door.shutdown()
            door.server_close()


def _with_doors(known: dict[str, Upstream], path: Path) -> tuple[dict[str, Upstream], Door | None]:
    """Upstreams that lie behind an HTTP proxy get a door of our own: nginx cannot speak to a proxy as a client."""
    proxied = {name: upstream for name, upstream in known.items() if upstream.proxy}
    if not proxied:
        return known, None
    door = Door(path, proxied)
    threading.Thread(target=door.serve_forever, name="proxy-door", daemon=True).start()
    behind = {name: upstreams.parse(name, f"{upstreams.DOOR_PREFIX}{path}:/{name}") for name in proxied}
    return {**known, **behind}, door


def _attend(
    process: subprocess.Popen[bytes],
    nginx: str,
    folder: Path,
    describe_now: Callable[[], configuration.Front],
    stop: threading.Event,
    reload_now: threading.Event,
) -> None:
    """Wait for the end, and meanwhile follow the upstreams' addresses."""
    current = (folder / "nginx.conf").read_text()
    due = time.monotonic() + RETRY_RESOLVE_EVERY_S
    while not stop.wait(0.5):
        if process.poll() is not None:
            raise NginxFailed(f"nginx ended by itself with {process.returncode}: {_last_error(folder)}")
        if time.monotonic() < due and not reload_now.is_set():
            continue
        reload_now.clear()
        front = describe_now()
        unresolved = any(served.upstream.scheme != "unix" and not served.addresses for served in front.mirrors)
        due = time.monotonic() + (RETRY_RESOLVE_EVERY_S if unresolved else RESOLVE_EVERY_S)
        text = configuration.render(front)
        if text == current:
            continue
        try:
            _write_checked(nginx, folder, text)
        except NginxFailed as error:
            log.error("the front keeps its old configuration: %s", error)  # noqa: TRY400 - a sentence, not a traceback
            continue
        current = text
        process.send_signal(signal.SIGHUP)


def _write_checked(nginx: str, folder: Path, text: str) -> None:
    """Put the configuration in place when nginx accepts it; otherwise the old one stays and NginxFailed is raised."""
    candidate = folder / "nginx.conf.new"
    candidate.write_text(text)
    result = subprocess.run(
        [nginx, "-t", "-q", "-p", f"{folder}/", "-c", str(candidate)],
        capture_output=True,
        text=True,
        timeout=TEST_TIMEOUT_S,
        check=False,
    )
    if result.returncode != 0:
        raise NginxFailed(f"nginx refuses its configuration: {result.stderr.strip()[-500:]}")
    candidate.replace(folder / "nginx.conf")


def _start(nginx: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "stderr.log").open("wb") as said:
        process = subprocess.Popen(  # a group of its own, by which leftovers are found
            [nginx, "-p", f"{folder}/", "-c", str(folder / "nginx.conf")],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    (folder / "group").write_text(str(process.pid))
    return process


def _end_with_parent() -> None:
    """Have the kernel end nginx when this process is killed, so that the next one finds the port free."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number, wait_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
    _end_group(process.pid)


def _end_leftovers(record: Path) -> None:
    try:
        _end_group(int(record.read_text()))
    except (OSError, ValueError):
        return


def _end_group(group: int) -> None:
    """End the nginx processes of a group that we started; anything else of that number is left alone."""
    deadline = time.monotonic() + 5.0
    while (members := _members(group)) and time.monotonic() < deadline:
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _members(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z" and (entry / "cmdline").read_bytes().startswith(b"nginx:"):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def _last_error(folder: Path) -> str:
    for name in ("stderr.log", "error.log"):
        path = folder / name
        if path.exists() and (lines := path.read_text(errors="replace").strip().splitlines()):
            return lines[-1][-300:]
    return "it said nothing."


def _listen(listen: Listen) -> str:
    return f"[{listen.host}]:{listen.port}" if ":" in listen.host else str(listen)


def _handle_signals(stop: threading.Event, reload_now: threading.Event) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    def renew(_number: int, _frame: FrameType | None) -> None:
        reload_now.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, renew)
