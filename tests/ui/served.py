"""The real web process on a loopback port, with the rack of rack.py in its database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from pxeapp import config, templates
from pxeapp.db import Database, now
from pxeapp.processes.serve import prepare
from pxeapp.vault import Vault, open_vault
from tests.ports import free_port
from tests.ui import rack

PASSWORD = "a-long-password"
needs_assets = pytest.mark.skipif(
    not (templates.data_root() / "web" / "vendor" / "version").exists(),
    reason="the page assets are not there; run: make web",
)


@dataclass
class Appliance:
    """A running web process and the database behind it."""

    url: str
    database: Database
    vault: Vault
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def serve(folder: Path, *, filled: Callable[[Database, Vault], None] | None = None) -> Iterator[Appliance]:
    """`pxeapp web`, after the preparation that `pxeapp serve` makes, until the block ends."""
    (folder / "password").write_text(PASSWORD)
    port = free_port()
    environ = {
        "PXEAPP_DATA_DIR": str(folder / "data"),
        "PXEAPP_HTTP_LISTEN": f"127.0.0.1:{port}",
        "PXEAPP_ADMIN_PASSWORD_FILE": str(folder / "password"),
    }
    settings = config.load(environ)
    prepare(settings)
    database, vault = Database(settings.database_url), open_vault(settings.data_dir)
    if filled is None:
        rack.fill(database, vault, now=now())
    else:
        filled(database, vault)
    log = folder / "web.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")}
    argv = [sys.executable, "-m", "pxeapp", "web"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            argv, env={**inherited, **environ}, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/readyz", process, log)
            yield Appliance(f"http://127.0.0.1:{port}", database, vault, process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    database.dispose()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    with requests.Session() as http:
        http.trust_env = False
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                if http.get(url, timeout=10).ok:
                    return
            time.sleep(0.1)
    raise AssertionError(f"pxeapp web did not become ready: {log.read_text(errors='replace')}")
