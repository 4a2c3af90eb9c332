"""Tiny real packages, and a web server over what is published."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: tiny {name}
License: MIT
BuildArch: noarch
{more}
%description
tiny
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {content} >%{{buildroot}}/usr/share/{name}/version
%files
/usr/share/{name}/version
"""


def deb(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    content: str = "",
    more: str = "",
    arch: str = "all",
    end: str = "deb",
) -> Path:
    """A .deb with one file; `content` makes another one of the same version."""
    root = folder / "deb" / f"{name}_{version}_{arch}"
    shutil.rmtree(root, ignore_errors=True)
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: Tests <tests@example.org>\n{more}"
        f"Description: tiny {name}\n of no use\n .\n at all\n"
    )
    share = root / "usr/share" / name
    share.mkdir(parents=True)
    (share / "version").write_text(content or version)
    path = folder / f"{name}_{version.rpartition(':')[2]}_{arch}.{end}"
    subprocess.run(
        ["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(root), str(path)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return path


def rpm(folder: Path, name: str, version: str = "1.0", *, content: str = "", more: str = "") -> Path:
    """An .rpm with one file."""
    top = folder / "rpmbuild"
    top.mkdir(exist_ok=True)
    spec = top / f"{name}-{version}.spec"
    spec.write_text(SPEC.format(name=name, version=version, content=content or version, more=more))
    defined = (f"_topdir {top}", f"_rpmdir {top}/RPMS")
    subprocess.run(
        ["rpmbuild", "-bb", *[word for each in defined for word in ("--define", each)], str(spec)],
        check=True, capture_output=True, timeout=120, env={**os.environ, "HOME": str(top)},
    )  # fmt: skip
    return top / "RPMS" / "noarch" / f"{name}-{version}-1.noarch.rpm"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def served(root: Path) -> Iterator[str]:
    """A folder over HTTP on loopback; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
