"""A small upstream with real packages, signed, on a server that counts, and that can lie, break off and hang up."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import lzma
import re
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

from pxeapp.software.repositories import openpgp
from pxeapp.software.repositories.openpgp import KeyPair

SUITE = "trixie"


def deb(folder: Path, name: str, version: str = "1.0", *, arch: str = "all", filler: int = 0, **fields: str) -> Path:
    """A real .deb with a file of its own; `filler` makes it that many bytes larger."""
    tree = folder / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    said = {
        "Package": name,
        "Version": version,
        "Architecture": arch,
        "Maintainer": "Nobody <nobody@example.net>",
        "Description": f"{name} for tests",
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    (tree / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in said.items()))
    content = tree / "usr" / "share" / name
    content.mkdir(parents=True)
    (content / "about").write_text(f"{name} {version}\n")
    if filler:
        block = hashlib.sha256(name.encode()).digest()
        (content / "filler").write_bytes(block * (filler // len(block)))
    target = folder / f"{name}_{version}_{arch}.deb"
    command = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(tree), str(target)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return target


def udeb(folder: Path, name: str, **fields: str) -> Path:
    """An installer component."""
    return deb(folder, name, **fields).rename(folder / f"{name}_1.0_all.udeb")


class Archive:
    """An apt archive on disk, written anew by `publish`."""

    def __init__(self, root: Path, key: KeyPair) -> None:
        self.root = root
        self.key = key
        self.valid_until: dt.datetime | None = None
        self.signed = True

    def add(self, path: Path) -> str:
        """A package into the pool; its path below the archive."""
        name = f"pool/main/{path.name[0]}/{path.name}"
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(path.read_bytes())
        return name

    def publish(
        self, *, suite: str = SUITE, now: dt.datetime | None = None, architectures: tuple[str, ...] = ("amd64",)
    ) -> None:
        """Indices of all that is in the pool, and the Release file over them."""
        debs, udebs = sorted(self.root.rglob("*.deb")), sorted(self.root.rglob("*.udeb"))
        files: dict[str, bytes] = {}
        for arch, (folder, found) in product(architectures, (("main", debs), ("main/debian-installer", udebs))):
            here = [path for path in found if path.stem.rpartition("_")[2] in (arch, "all")]
            text = "\n".join(self._paragraph(path) for path in here).encode()
            name = f"{folder}/binary-{arch}/Packages"
            files |= {name: text, f"{name}.gz": gzip.compress(text, mtime=0), f"{name}.xz": lzma.compress(text)}
        for arch in architectures:  # as Debian's are, of the fields that the Release below has
            own = f"Archive: {suite}\nOrigin: Test\nComponent: main\nArchitecture: {arch}\n"
            files[f"main/binary-{arch}/Release"] = own.encode()
        dists = self.root / "dists" / suite
        for name, content in files.items():
            (dists / name).parent.mkdir(parents=True, exist_ok=True)
            (dists / name).write_bytes(content)
        moment = now or dt.datetime.now(dt.UTC)
        sums = "".join(f" {hashlib.sha256(each).hexdigest()} {len(each)} {name}\n" for name, each in files.items())
        until = f"Valid-Until: {self.valid_until:%a, %d %b %Y %H:%M:%S} UTC\n" if self.valid_until else ""
        release = (
            f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {moment:%a, %d %b %Y %H:%M:%S} UTC\n{until}"
            f"Architectures: all {' '.join(architectures)}\nNo-Support-for-Architecture-all: Packages\n"
            f"Components: main\nSHA256:\n{sums}"
        ).encode()
        for name in ("InRelease", "Release", "Release.gpg"):
            (dists / name).unlink(missing_ok=True)
        if self.signed:
            (dists / "InRelease").write_bytes(openpgp.sign_clear(release, [self.key.private]))
        else:
            (dists / "Release").write_bytes(release)

    def _paragraph(self, path: Path) -> str:
        content = path.read_bytes()
        ran = subprocess.run(["dpkg-deb", "--field", str(path)], check=True, capture_output=True, text=True, timeout=60)
        return (
            f"{ran.stdout.strip()}\nFilename: {path.relative_to(self.root)}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )


class Server(ThreadingHTTPServer):
    """Serves a folder. `asked` counts by path; `ranges` keeps what was asked of a file from where on."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.asked: Counter[str] = Counter()
        self.ranges: dict[str, list[str]] = {}
        self.cut: dict[str, int] = {}  # by path: how many bytes come before the line is cut
        self.held: dict[str, threading.Event] = {}  # by path: the second half comes when this is set
        self.before_answer: dict[str, object] = {}  # by path: called once, before it is answered

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def packages_asked(self) -> int:
        """How many requests for packages there were."""
        return sum(count for path, count in self.asked.items() if path.endswith((".deb", ".udeb", ".rpm")))


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.server.asked[path] += 1
        act = self.server.before_answer.pop(path, None)
        if callable(act):
            act()
        file = self.server.root / path
        if not file.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, start = file.read_bytes(), 0
        if (said := self.headers.get("Range")) is not None:
            self.server.ranges.setdefault(path, []).append(said)
            match = re.fullmatch(r"bytes=(\d+)-", said)
            assert match is not None
            start = int(match[1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.server.cut.pop(path, None)
        if cut is not None:
            self.wfile.write(content[start : start + cut])
            self.close_connection = True
            self.connection.shutdown(2)
            return
        half = len(content) // 2
        if (held := self.server.held.get(path)) is not None and start < half:
            self.wfile.write(content[start:half])
            self.wfile.flush()
            held.wait(30)
            start = half
        self.wfile.write(content[start:])

    def log_message(self, *_args: object) -> None:
        """Say nothing."""
