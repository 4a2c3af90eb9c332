"""What a front's configuration is made from, whichever server it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.upstreams import Upstream


@dataclass(frozen=True, slots=True)
class Served:
    """An upstream with the addresses it has now; none means that it cannot be resolved (a door needs none)."""

    upstream: Upstream
    addresses: tuple[str, ...] = ()
    max_bytes: int = 20 * 1024**3
    offline: bool = False
    keep_packages: bool = True
    hosts: tuple[str, ...] = ()  # HOST[:PORT]/PATH that the proxy answers for

    @property
    def is_reachable(self) -> bool:
        """Whether nginx could be told where it is."""
        return self.upstream.scheme == "unix" or bool(self.addresses)


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS on a port of its own."""

    listen: str
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Front:
    """Everything the configuration is made from. `user` is set only where nginx is started as root."""

    listen: str
    run_dir: Path
    node_socket: Path
    indexes_socket: Path
    media_dir: Path
    repo_dir: Path
    udebs_dir: Path
    cache_dir: Path
    indexes_dir: Path
    access_log: Path
    error_log: Path
    own_hosts: tuple[str, ...] = ()  # by which machines mean the appliance itself
    mirrors: Sequence[Served] = ()
    tls: Tls | None = None
    user: str = ""
    workers: int = 2


@dataclass(frozen=True, slots=True)
class Site:
    """A server of an operator's own in front of ours: where it listens, and how it is called."""

    front: Front
    port: int
    logs: Path
    name: str = ""
    certificate: Path | None = None
    key: Path | None = None

    @property
    def cache(self) -> str:
        """Where our own nginx answers for /mirror/, which it caches."""
        host, _, port = self.front.listen.rpartition(":")
        return f"{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 - compared, not bound


def check_site(site: Site, program: str) -> None:
    """Raises Invalid when something that an operator or a setting says could mean something else."""
    paths = [("logs", site.logs), ("node_socket", site.front.node_socket), ("repo_dir", site.front.repo_dir)]
    paths += [("media_dir", site.front.media_dir)]
    paths += [("tls", path) for path in (site.certificate, site.key) if path is not None]
    check_paths(paths, program)
    if site.name and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?", site.name):
        fix = "Write it as pxe.example.org."
        raise Invalid(f"name: {site.name[:80]!r} is no host name.", problems=[FieldProblem("name", "is none.", fix)])


def check_paths(named: Iterable[tuple[str, Path]], program: str) -> None:
    """Raises Invalid when a path could mean something in a server's configuration."""
    for field, path in named:
        value = str(path)
        if not value.startswith("/") or set(value) & set(" \t\n\r;{}<>\"'$%\\#"):
            fix = "Use an absolute path without blanks, quotes, dollars, percents, semicolons and braces."
            raise Invalid(
                f"{field}: {value!r} cannot be used by {program}.",
                problems=[FieldProblem(field, value, fix)],
                hint=fix,
            )
