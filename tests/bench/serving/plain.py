"""A bare nginx over a folder: what a file costs when nobody asks what it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pxeapp.software.front import process as front
from tests.bench import cpu
from tests.bench.serving.appliance import ADDRESS, wait_for
from tests.ports import free_ports

CONFIGURATION = """
daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    sendfile on; tcp_nopush on; access_log {access_log};
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{ listen {address}:{port}; root {root}; }}
}}
"""


class Plain(NamedTuple):
    """One that runs."""

    server: cpu.Server
    port: int

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.port}"


@contextmanager
def nginx(root: Path, *, ready: str, workers: int = 1, log: bool = True) -> Iterator[Plain]:
    """Serve `root` until the block ends, with as many workers as the one that it is compared with; `ready` is there."""
    program = front.program()
    if program is None:
        raise RuntimeError("nginx is not installed; run: packaging/setup.sh bench")
    folder = Path(tempfile.mkdtemp(prefix="pxeapp-nginx-"))
    folder.chmod(0o755)
    try:
        (port,) = free_ports(1)
        (folder / "nginx.conf").write_text(
            CONFIGURATION.format(
                workers=workers, folder=folder, address=ADDRESS, port=port, root=root,
                access_log=folder / "access.log" if log else "off",
            )
        )  # fmt: skip
        user = ["-g", "user root;"]  # as the front runs: it reads what only its owner may
        with cpu.Server([program, "-p", str(folder), "-c", str(folder / "nginx.conf"), *user]) as server:
            wait_for(port, ready)
            yield Plain(server, port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
