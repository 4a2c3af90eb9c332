"""The ports that we listen on: held by us, or free and ours to take, and by nobody else."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pxeapp.config import Settings
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn

LISTENING = "0A"  # of TCP, in /proc/net/tcp
TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port of ours."""

    kind: str
    host: str
    port: int
    setting: str
    shared: bool = False  # with DHCP servers on other interfaces: each is bound to its own

    def __str__(self) -> str:
        return f"{self.port}/{self.kind}"


def wanted(settings: Settings) -> list[Wanted]:
    """All of them."""
    found = [
        Wanted("tcp", settings.http_listen.host, settings.http_listen.port, "PXEAPP_HTTP_LISTEN"),
        Wanted("tcp", settings.node_listen.host, settings.node_listen.port, "PXEAPP_NODE_LISTEN"),
        Wanted("udp", settings.tftp_listen.host, settings.tftp_listen.port, "PXEAPP_TFTP_LISTEN"),
    ]
    numbers = {"off": (), "full": (67,), "proxy": (67, 4011)}[settings.dhcp]
    return found + [Wanted("udp", EVERYWHERE[0], number, "PXEAPP_DHCP", shared=True) for number in numbers]


def ports(patient: Patient) -> Finding:
    """Each is held by us, or free and ours to take."""
    settings = patient.settings
    troubles: list[Finding] = []
    for each in wanted(settings):
        holders = list(_holders(each))
        others = [pid for pid in holders if not _is_ours(pid, settings)]
        if others:
            troubles.append(_held(each, others[0]))
        elif not holders:
            troubles += _free(each)
    shown = ", ".join(map(str, wanted(settings)))
    if not troubles:
        return ok(f"Nobody else holds a port of ours ({shown}).")
    sentence = " ".join(each.sentence for each in troubles)
    attempt = " ".join(dict.fromkeys(each.attempt for each in troubles))
    return fail(sentence, attempt) if any(each.status == "fail" for each in troubles) else warn(sentence, attempt)


def _held(each: Wanted, pid: int) -> Finding:
    said = f"Port {each} is held by {_name(pid)} (process {pid})."
    if each.shared:
        return warn(said, "Well if it serves another interface; on ours there must be one DHCP server only.")
    return fail(said, f"Stop it, or choose another port with {each.setting}.")


def _free(each: Wanted) -> list[Finding]:
    """Whether we could take it: tried, and given back at once."""
    family = socket.AF_INET6 if ":" in each.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if each.kind == "tcp" else socket.SOCK_DGRAM) as sock:
        if each.kind == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((each.host, each.port))
        except PermissionError:
            return [
                fail(
                    f"This user may not listen on port {each}.",
                    "Ports below 1024 need root or CAP_NET_BIND_SERVICE, which packaging/systemd/pxeapp.service gives.",
                )
            ]
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return []  # by somebody whom this user cannot see into: the checks by the wire tell whether it is us
            return [fail(f"{each.host} port {each}: {error.strerror}.", f"Correct {each.setting}.")]
    return []


def _holders(each: Wanted) -> Iterator[int]:
    """The processes that hold it, as far as this user may know."""
    inodes = {f"socket:[{inode}]" for inode in _sockets(each)}
    if not inodes:
        return
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(held) in inodes for held in (entry / "fd").iterdir()):  # noqa: PTH115 - no path
                yield int(entry.name)
        except OSError:
            continue


def _sockets(each: Wanted) -> Iterator[str]:
    for table in TABLES[each.kind]:
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, _, port = fields[1].partition(":")
            if int(port, 16) != each.port or (each.kind == "tcp" and fields[3] != LISTENING):
                continue
            here = _address(address)
            if here == each.host or here in EVERYWHERE or each.host in EVERYWHERE:
                yield fields[9]


def _address(shown: str) -> str:
    """As the kernel shows addresses: each word of four bytes in the host's order."""
    words = [int(shown[at : at + 8], 16) for at in range(0, len(shown), 8)]
    return socket.inet_ntop(
        socket.AF_INET if len(words) == 1 else socket.AF_INET6, struct.pack(f"={len(words)}I", *words)
    )


def _is_ours(pid: int, settings: Settings) -> bool:
    """A process of ours, or one that a process of ours started: nginx, dnsmasq and their workers."""
    mine = str(settings.data_dir).encode()
    while pid > 1:
        line = _read(pid, "cmdline")
        if b"pxeapp" in line or mine in line:
            return True
        about = _read(pid, "stat").rpartition(b")")[2].split()
        pid = int(about[1]) if len(about) > 1 else 0
    return False


def _name(pid: int) -> str:
    return _read(pid, "comm").decode("utf-8", "replace").strip() or "somebody"


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
