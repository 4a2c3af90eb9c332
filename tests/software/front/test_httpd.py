"""Apache httpd in front of the appliance: the configuration that we print, run without privileges and with TLS."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socketserver
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pxeapp.software.front import httpd, nginx_site, process
from pxeapp.software.front.spec import Site
from tests.ports import free_port
from tests.software.front import fronts
from tests.software.front.running import until
from tests.software.front.test_tls import certificate

MODULES = (
    "mpm_event", "alias", "authz_core", "headers", "log_config", "proxy", "proxy_http", "reqtimeout", "setenvif",
    "unixd", "ssl", "env",
)  # fmt: skip
PLACES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules")
TOKEN = "0123456789abcdef0123456789abcdef"
APACHE = shutil.which("apache2") or shutil.which("apache2", path="/usr/sbin") or shutil.which("httpd")
NOBODY = 65534

pytestmark = [pytest.mark.network]


class Node(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """In the node application's place: says what it was told."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Said)


class _Said(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, **dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "front"

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@dataclass
class Server:
    """A server of an operator's own, running."""

    folder: Path
    port: int
    trusted: ssl.SSLContext
    node: Node

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=self.trusted)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.get("/healthz")[0] > 0
        except OSError:
            return False

    @property
    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted((self.folder / "logs").glob("*")))


@pytest.fixture(scope="module", params=["httpd", "nginx"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Both of them, since operators are promised the same."""
    nginx = process.program()
    if request.param == "httpd" and APACHE is None:
        pytest.skip("Apache httpd is not installed (apache2-bin)")
    if request.param == "nginx" and nginx is None:
        pytest.skip("nginx is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pxeapp-front-", dir="/tmp"))
    folder.chmod(0o777)
    for name in ("data/repo/tools", "data/media", "run", "logs"):
        (folder / name).mkdir(parents=True)
    for each in folder.rglob("*"):
        each.chmod(0o777)
    (folder / "data/repo/tools/file").write_text("from the repository")
    (folder / "data/repo/secret").symlink_to("/etc/passwd")
    made = certificate(folder)
    made.key.chmod(0o644)
    node = Node(folder / "run/node.sock")
    (folder / "run/node.sock").chmod(0o777)
    threading.Thread(target=node.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    front = replace(
        fronts.front(), node_socket=folder / "run/node.sock", repo_dir=folder / "data/repo",
        media_dir=folder / "data/media", listen=f"127.0.0.1:{free_port()}",
    )  # fmt: skip
    port = free_port()
    site = Site(front, port, folder / "logs", "localhost", made.certificate, made.key)
    running = Server(folder, port, ssl.create_default_context(cafile=str(made.certificate)), node)
    command = _httpd(folder, site) if request.param == "httpd" else _nginx(folder, site, str(nginx))
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with (folder / "said").open("wb") as said:
        ran = subprocess.Popen(command, stdout=said, stderr=said, **who)  # type: ignore[call-overload]
    try:
        until(lambda: running.answers() or ran.poll() is not None, "it answers")
        assert ran.poll() is None, (folder / "said").read_text() + running.logs
        yield running
    finally:
        ran.terminate()
        ran.wait(20)
        node.shutdown()
        node.server_close()
        shutil.rmtree(folder, ignore_errors=True)


def _httpd(folder: Path, site: Site) -> list[str]:
    place = next(Path(place) for place in PLACES if Path(place).is_dir())
    loaded = [f"LoadModule {name}_module {place}/mod_{name}.so\n" for name in MODULES]
    there = "".join(line for line in loaded if Path(line.split()[2]).exists())
    (folder / "site.conf").write_text(httpd.render(site))
    (folder / "httpd.conf").write_text(
        f'ServerRoot "{folder}"\nDefaultRuntimeDir "{folder}/run"\nPidFile "{folder}/run/pid"\n{there}'
        f'Mutex "file:{folder}/run"\nErrorLog "{folder}/logs/main.log"\nServerName localhost\n'
        f"StartServers 1\nInclude {folder}/site.conf\n"
    )
    assert APACHE is not None
    return [APACHE, "-f", str(folder / "httpd.conf"), "-DFOREGROUND"]


def _nginx(folder: Path, site: Site, program: str) -> list[str]:
    (folder / "site.conf").write_text(nginx_site.render(site))
    kept = "".join(
        f"{name}_temp_path {folder}/run/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/run/pid; error_log {folder}/logs/main.log;\nevents {{}}\n"
        f"http {{ {kept}\ninclude {folder}/site.conf; }}\n"
    )
    return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "logs/first.log")]


def test_repositories_are_sent_by_it_and_only_read(server: Server) -> None:
    assert server.get("/repo/tools/file") == (200, b"from the repository")
    assert server.get("/repo/none")[0] == 404
    for path in ("/repo/", "/repo/secret"):
        assert server.get(path)[0] in (403, 404)
    assert server.get("/repo/tools/file", "PUT")[0] in (403, 405)


def test_the_application_is_told_the_connections_own_address_and_nothing_that_a_client_says(server: Server) -> None:
    status, body = server.get(
        "/boot/ipxe?mac=52:54:00:00:00:01", X_Real_IP="10.9.9.9", X_Forwarded_For="10.9.9.9", Forwarded="for=10.9.9.9",
        X_Forwarded_Host="evil", X_Sendfile_Type="X-Something",
    )  # fmt: skip
    told = json.loads(body)
    assert (status, told["X-Real-IP"], told["path"]) == (200, "127.0.0.1", "/boot/ipxe?mac=52:54:00:00:00:01")
    assert "10.9.9.9" not in body.decode()
    assert told.get("X-Forwarded-Host", "") == ""
    assert told.get("X-Sendfile-Type", "X-Accel-Redirect") == "X-Accel-Redirect"


def test_neither_log_holds_a_token_whatever_becomes_of_the_request(server: Server) -> None:
    for path in (f"/a/{TOKEN}/kickstart", f"/c/{TOKEN}/logs/x", f"/%61/{TOKEN}/kickstart", f"//a/{TOKEN}/x"):
        assert server.get(path)[0] == 200
    socket = server.folder / "run/node.sock"
    aside = socket.with_name("aside")
    socket.rename(aside)
    try:
        assert server.get(f"/a/{TOKEN}/kickstart")[0] in (502, 503)
        assert server.get(f"/%61/{TOKEN}/kickstart")[0] in (502, 503)
    finally:
        aside.rename(socket)
    assert "/a/***/kickstart" in server.logs
    assert TOKEN not in server.logs


def test_it_is_no_proxy_for_anything_else(server: Server) -> None:
    status, body = server.get("http://elsewhere.example.org/x")
    assert status in (200, 400, 404), "taken for a path of ours"
    assert b"elsewhere" not in body or json.loads(body)["path"] == "/x"
    assert server.get("elsewhere.example.org:443", "CONNECT")[0] in (400, 405, 501)
