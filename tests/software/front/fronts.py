"""Fronts to render, whole and small."""

from __future__ import annotations

from pathlib import Path

from pxeapp.software import upstreams
from pxeapp.software.front.spec import Front, Served, Tls

DATA = Path("/var/lib/pxeapp")


def front(*mirrors: Served, tls: Tls | None = None) -> Front:
    """One as it is on an appliance."""
    run = DATA / "run/front"
    return Front(
        listen="0.0.0.0:8081",
        run_dir=run,
        node_socket=DATA / "run/node.sock",
        indexes_socket=run / "indexes.sock",
        media_dir=DATA / "media",
        repo_dir=DATA / "repo",
        udebs_dir=DATA / "udebs",
        cache_dir=DATA / "cache/packages",
        indexes_dir=DATA / "cache/indexes",
        access_log=run / "access.log",
        error_log=run / "error.log",
        own_hosts=("10.0.0.1:8081",),
        mirrors=mirrors,
        tls=tls,
        user="root",
    )


DEBIAN = Served(
    upstreams.parse("debian", "http://deb.example.org/debian"),
    ("192.0.2.1", "2001:db8::1"),
    hosts=("deb.example.org/debian", "ftp.example.org/debian"),
)
ROCKY = Served(
    upstreams.parse("rocky", "https://rocky.example.org:8443/pub"),
    ("192.0.2.2",),
    max_bytes=1024**3,
    keep_packages=False,
    hosts=("rocky.example.org:8443/pub",),
)
OFFLINE = Served(upstreams.parse("ubuntu", "https://u.example.org"), ("192.0.2.3",), offline=True)
GONE = Served(upstreams.parse("gone", "http://gone.example.org"))
DOOR = Served(upstreams.parse("door", "http+unix:///run/pxeapp/door:/debian"))
TLS = Tls("0.0.0.0:8443", Path("/etc/pxeapp/tls.pem"), Path("/etc/pxeapp/tls.key"))
