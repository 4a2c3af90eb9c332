"""Checks by the wire: what operators and machines would get now from the running appliance."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from netaddr import IPAddress

from pxeapp.boot.tftp import packets
from pxeapp.config import Settings
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.software import upstreams
from pxeapp.software.front import process as front

HTTP_TIMEOUT_S = 5.0
MIRROR_TIMEOUT_S = 10.0
TFTP_TIMEOUT_S = 2.0
LOADER = "undionly.kpxe"
ABSENT = "pxeapp-doctor"  # a file that no mirror has: "no such file" is the upstream's own answer
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
NOT_RUNNING = "Start pxeapp serve, and read what it says."


def operators_http(patient: Patient) -> Finding:
    """The operators' HTTP says that it is ready."""
    listen = patient.settings.http_listen
    host = "127.0.0.1" if listen.host in WILDCARDS else listen.host
    url = f"http://{_bracketed(host)}:{listen.port}/readyz"
    try:
        answer = _get(url)
    except requests.RequestException as error:
        return fail(f"{url} does not answer: {_word(error)}.", f"{NOT_RUNNING} Its part `web` serves this.")
    if answer.status != requests.codes.ok:
        return fail(f"{url} answers {answer.status}: {answer.text}", NOT_RUNNING)
    return ok(f"{url} says that it is ready.")


def node_url(patient: Patient) -> Finding:
    """Machines can reach us at the URL that we tell them."""
    url = patient.settings.node_url
    host = urlsplit(url).hostname or ""
    try:
        answer = _get(f"{url}/healthz")
    except requests.RequestException as error:
        return fail(
            f"PXEAPP_NODE_URL is {url}, which does not answer: {_word(error)}.",
            f"{NOT_RUNNING} Machines use exactly this URL; it must lead to PXEAPP_NODE_LISTEN.",
        )
    if answer.status != requests.codes.ok:
        return fail(f"{url}/healthz answers {answer.status}.", f"{NOT_RUNNING} Its part `node` serves this.")
    address = _resolved(host)
    if IPAddress(address).is_loopback():
        return warn(
            f"PXEAPP_NODE_URL is {url}, which means this host to itself and nothing to a machine.",
            "Set it to this host's address in the provisioning network: http://10.0.0.1:8081.",
        )
    if not _is_ours(address):
        return warn(
            f"{url} answers, but {address} is no address of this host.",
            "Well if it is a load balancer's; otherwise correct PXEAPP_NODE_URL.",
        )
    return ok(f"{url} is an address of this host and answers.")


def tftp(patient: Patient) -> Finding:
    """A boot loader comes by TFTP, as a firmware would ask for it."""
    settings = patient.settings
    address = _tftp_address(settings)
    if address is None:
        return warn(
            "TFTP cannot be asked from here: no address of this host that it listens on is in PXEAPP_TFTP_NETWORKS.",
            "Try it from the provisioning network: tftp HOST -c get undionly.kpxe",
        )
    where = f"{address}:{settings.tftp_listen.port}"
    answer = _first_packet(address, settings.tftp_listen.port)
    if answer is None:
        return fail(
            f"TFTP at {where} does not answer within {TFTP_TIMEOUT_S:g} s.",
            "Is pxeapp tftp running? Port 69 needs root or the right to bind it (see docs/operations.md).",
        )
    if packets.opcode(answer) == packets.ERROR:
        said = answer[4:].rstrip(b"\0").decode("ascii", "replace")
        return fail(f"TFTP at {where} refuses {LOADER}: {said}.", "See: pxeapp boot-programs")
    return ok(f"TFTP at {where} sends {LOADER}.")


def mirror(patient: Patient) -> Finding:
    """Packages can be pulled through: each upstream answers the front."""
    known = upstreams.configured(patient.settings)
    if front.program() is None:
        return warn("There is no package mirror, because nginx is not installed.", "Run: apt-get install nginx-light")
    if not known:
        return warn(
            "No mirror is known, neither from the settings nor from this host's package sources.",
            "Set PXEAPP_MIRROR_UPSTREAMS=debian=http://YOUR-MIRROR/debian",
        )
    troubles = [said for name in sorted(known) if (said := _mirror_trouble(patient.settings, name))]
    if troubles:
        return warn(" ".join(troubles), "Packages in the cache still come; for the rest the upstream must be reached.")
    return ok(f"The upstreams of {', '.join(sorted(known))} answer through the mirror.")


def _mirror_trouble(settings: Settings, name: str) -> str:
    try:
        answer = _get(f"{settings.node_url}/mirror/{name}/{ABSENT}", timeout_s=MIRROR_TIMEOUT_S)
    except requests.RequestException as error:
        return f"The mirror {name} does not answer: {_word(error)}."
    if answer.status == requests.codes.gateway_timeout:
        return ""  # an operator has switched it off here
    return answer.text if answer.status >= requests.codes.internal_server_error else ""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str  # its beginning, on one line


def _get(url: str, *, timeout_s: float = HTTP_TIMEOUT_S) -> _Answer:
    """GET straight to the address, whatever proxy the environment names; only the first bytes are read."""
    with requests.Session() as session:
        session.trust_env = False
        with session.get(url, timeout=timeout_s, allow_redirects=False, stream=True) as answer:
            start = next(answer.iter_content(2048), b"").decode("utf-8", "replace")
            return _Answer(answer.status_code, " ".join(start.split())[:300])


def _first_packet(address: str, port: int) -> bytes | None:
    """The server's first packet to a read request; the transfer is then called off."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TFTP_TIMEOUT_S)
        try:
            sock.sendto(b"\0\1" + LOADER.encode() + b"\0octet\0", (address, port))
            answer, peer = sock.recvfrom(2048)
            sock.sendto(packets.error(packets.UNDEFINED, "only looking"), peer)
        except OSError:
            return None
    return answer


def _tftp_address(settings: Settings) -> str | None:
    """An address of ours that TFTP listens on and answers to: it ignores whoever is not in its networks."""
    if settings.tftp_listen.host not in WILDCARDS:
        candidates = [settings.tftp_listen.host]
    else:
        candidates = [_resolved(urlsplit(settings.node_url).hostname or ""), "127.0.0.1"]
    for address in candidates:
        if any(IPAddress(address) in network for network in settings.tftp_networks) and _is_ours(address):
            return address
    return None


def _resolved(host: str) -> str:
    with contextlib.suppress(OSError):
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    return "0.0.0.0"  # noqa: S104 - means nowhere here


def _is_ours(address: str) -> bool:
    """Whether the kernel lets us bind the address: no program and no list of interfaces is needed."""
    if address in WILDCARDS:
        return False
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _word(error: requests.RequestException) -> str:
    """A word for a failure; the library's own text is a page of nested objects."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "connection refused or no route" if isinstance(error, requests.ConnectionError) else type(error).__name__
