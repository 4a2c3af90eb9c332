"""Other DHCP servers on the wire: we ask, as any machine that is switched on does, and see who answers.

Only the first of the four DHCP packets is sent, so nobody hands out an address. It leaves by a packet socket, which
our own dnsmasq does not hear.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from urllib.parse import urlsplit

from pxeapp.doctor.dhcp import OFF, addresses
from pxeapp.doctor.finding import Finding, Patient, ok, warn

MAC = bytes.fromhex("027078656170")  # locally administered; a server's log shows 02:70:78:65:61:70
SEND_AT_S = (0.0, 2.0)
LISTEN_S = 4.5  # dnsmasq and ISC's server look for three and one seconds whether an address is in use
ETH_IP, UDP = 0x0800, 17
SERVER_PORT, CLIENT_PORT = 67, 68
COOKIE = b"\x63\x82\x53\x63"
TYPE, SERVER, DISCOVER, OFFER = 53, 54, b"\x01", b"\x02"


def on_the_wire(patient: Patient) -> Finding:
    """In the mode full nobody else answers, in the mode proxy exactly one does."""
    settings = patient.settings
    if settings.dhcp == "off":
        return ok(f"{OFF}; nobody was asked.")
    interface = settings.dhcp_interface
    if interface not in [name for _, name in socket.if_nameindex()]:
        return warn(f"There is no interface {interface} to ask on.", "See what is said about the networks.")
    try:
        found = servers(interface)
    except PermissionError:
        return ok("Nobody was asked, because that needs root (CAP_NET_RAW); machines tell what they meet.")
    except OSError as error:
        return warn(f"Nobody could be asked on {interface}: {error.strerror}.", f"Run: ip link set {interface} up")
    ours = {*addresses(interface), urlsplit(settings.node_url).hostname}
    return judge(sorted(found - ours), settings.dhcp, interface)


def judge(others: list[str], mode: str, interface: str) -> Finding:
    """What it means that these answered."""
    shown = ", ".join(others)
    if mode == "proxy":
        if not others:
            return warn(
                f"No DHCP server answers on {interface}, and in the mode proxy we give no addresses.",
                "Start the network's DHCP server, or use PXEAPP_DHCP=full.",
            )
        if len(others) > 1:
            return warn(f"Several DHCP servers answer on {interface}: {shown}.", "Leave one of them.")
        return ok(f"One DHCP server answers on {interface}, as the mode proxy needs: {shown}.")
    if others:
        return warn(
            f"Another DHCP server answers on {interface}: {shown}.",
            "Switch it off on this network, or use PXEAPP_DHCP=proxy; a machine takes the first offer that comes.",
        )
    return ok(f"No other DHCP server answers on {interface}.")


def servers(interface: str) -> set[str]:
    """The addresses of those that offer something; raises OSError where this user may not ask."""
    found: set[str] = set()
    number = int.from_bytes(os.urandom(4))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_IP)) as sock:
        sock.bind((interface, ETH_IP))
        began = time.monotonic()
        due = list(SEND_AT_S)
        while (now := time.monotonic() - began) < LISTEN_S:
            if due and now >= due[0]:
                due.pop(0)
                sock.send(discover(number))
            sock.settimeout(max(0.01, (due[0] if due else LISTEN_S) - now))
            try:
                frame = sock.recv(2048)
            except TimeoutError:
                continue
            if server := offered_by(frame, number):
                found.add(server)
    return found


def discover(number: int) -> bytes:
    """DHCPDISCOVER as an Ethernet frame; the answer is asked for as a broadcast, since we have no address."""
    bootp = struct.pack("!BBBBIHH16x16s192x", 1, 1, 6, 0, number, 0, 0x8000, MAC)
    body = bootp + COOKIE + bytes([TYPE, 1]) + DISCOVER + b"\xff"
    datagram = struct.pack("!HHHH", CLIENT_PORT, SERVER_PORT, 8 + len(body), 0) + body
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, UDP, 0, b"\0" * 4, b"\xff" * 4)
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    return b"\xff" * 6 + MAC + struct.pack("!H", ETH_IP) + header + datagram


def offered_by(frame: bytes, number: int) -> str | None:
    """The server that this frame is an offer of, to our question; None for anything else that is on the wire."""
    body = _udp_body(frame)
    if len(body) < 240 or body[0] != 2 or body[4:8] != number.to_bytes(4) or body[236:240] != COOKIE:
        return None
    options = _options(body[240:])
    server = options.get(SERVER, b"")
    if options.get(TYPE) != OFFER or len(server) != 4:
        return None
    return socket.inet_ntoa(server)


def _udp_body(frame: bytes) -> bytes:
    if len(frame) < 34 or frame[23] != UDP:
        return b""
    start = 14 + (frame[14] & 15) * 4
    return frame[start + 8 :] if frame[start + 2 : start + 4] == struct.pack("!H", CLIENT_PORT) else b""


def _options(field: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(field) and field[at] != 255:
        if field[at] == 0:
            at += 1
            continue
        found[field[at]] = field[at + 2 : at + 2 + field[at + 1]]
        at += 2 + field[at + 1]
    return found
