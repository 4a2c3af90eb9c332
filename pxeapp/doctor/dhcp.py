"""Checks of DHCP and the programs that we supervise: dnsmasq, nginx, the interface, the networks' rows, rivals."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from netaddr import IPAddress, IPNetwork, valid_ipv4
from sqlalchemy import func, select

from pxeapp.boot import runner
from pxeapp.config import Settings
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.doctor.work import named
from pxeapp.errors import Unavailable
from pxeapp.machines.models import Event, Interface, Machine, Network
from pxeapp.software.front import process as front

DAY = dt.timedelta(days=1)
IP_TIMEOUT_S = 10.0
SYSTEM_PATH = "/usr/sbin:/sbin"
OFF = "PXEAPP_DHCP is off: your own DHCP server names the boot program"


def dnsmasq(patient: Patient) -> Finding:
    """Where we do DHCP, dnsmasq is installed and runs with our configuration."""
    settings = patient.settings
    if settings.dhcp == "off":
        return ok(f"{OFF} (see: pxeapp dhcp-snippet).")
    try:
        runner.find_program("dnsmasq")
    except Unavailable as error:
        return fail(error.sentence, error.hint)
    if not _runs(settings.run_dir / "dnsmasq.pid", str(settings.run_dir / "dnsmasq.conf")):
        return _elsewhere(
            settings,
            "dnsmasq does not run on this host.",
            "Start pxeapp serve (or pxeapp dhcp) and read what it says; without a network row it waits for one.",
        )
    return ok(f"dnsmasq runs in the mode {settings.dhcp} on {settings.dhcp_interface}.")


def nginx(patient: Patient) -> Finding:
    """The front is installed and runs."""
    if front.program() is None:
        return warn(
            "nginx is not installed: there is no package mirror, and big files go through Python.",
            "Run: apt-get install nginx-light — and start pxeapp serve again.",
        )
    if not _runs(patient.settings.run_dir / "front" / "nginx.pid", "nginx"):
        return _elsewhere(
            patient.settings, "nginx does not run for us on this host.", "Start pxeapp serve (or pxeapp front)."
        )
    return ok(f"nginx serves machines on {patient.settings.node_listen}.")


def networks(patient: Patient) -> Finding:
    """The interface has an address inside a network that we know, and in the mode full there is a range to give."""
    settings = patient.settings
    with patient.database.read() as session:
        every = session.scalars(select(Network).order_by(Network.name))
        rows = [row for row in every if ":" not in row.cidr]  # DHCP is for netboot, and that is IPv4
    if settings.dhcp == "off":
        return ok(f"{OFF}; {len(rows)} networks are known.")
    name = settings.dhcp_interface
    known = [found for _, found in socket.if_nameindex()]  # not /sys: in a network namespace that shows the host's
    if name not in known:
        return fail(
            f"PXEAPP_DHCP_INTERFACE is {name}, which this host has not.", f"Use one of: {', '.join(sorted(known))}."
        )
    if not rows:
        return fail(
            "No network is known, so DHCP answers nobody.",
            "Add one: POST /api/v1/networks with name, cidr, dhcp_start and dhcp_end.",
        )
    here = addresses(name)
    inside = [row for row in rows if any(IPAddress(each) in IPNetwork(row.cidr) for each in here)]
    if not inside:
        return fail(
            f"{name} has {', '.join(here) or 'no address'}, and none of our networks holds it: "
            f"{', '.join(row.cidr for row in rows)}.",
            f"Give {name} an address in one of them, or correct the network.",
        )
    if settings.dhcp == "full" and not any(row.dhcp_start for row in inside):
        return warn(
            f"The network {inside[0].name} has no DHCP range, so only machines with a reservation get an address.",
            f"Give it one: PATCH /api/v1/networks/{inside[0].name} with dhcp_start and dhcp_end.",
        )
    return _node_url_inside(settings, inside[0])


def shared(patient: Patient) -> Finding:
    """No address is two cards'. From before that was refused: DHCP keeps it for one of them, and neither is safe."""
    with patient.database.read() as session:
        twice = select(Interface.address).group_by(Interface.address).having(func.count() > 1)
        rows = session.execute(
            select(Interface.address, Machine.name)
            .join(Machine, Machine.id == Interface.machine_id)
            .where(Interface.address.in_(twice))
            .order_by(Machine.id)
        )
        owners: dict[str, list[str]] = {}
        for address, name in rows:
            owners.setdefault(str(address), []).append(name)
    if not owners:
        return ok("No two network cards have one address.")
    told = "; ".join(f"{address} of {named(names)}" for address, names in list(owners.items())[:3])
    return warn(
        f"{len(owners)} addresses are those of several network cards: {told}.",
        "Give each card an address of its own; until then only the machine that was there first has its reservation.",
    )


def rivals(patient: Patient) -> Finding:
    """No other DHCP server was noticed lately; we look at what machines met, and send nothing."""
    with patient.database.read() as session:
        lately = (Event.kind == "rival_dhcp", Event.at >= patient.now - DAY)
        count = session.scalar(select(func.count()).select_from(Event).where(*lately)) or 0
        last = session.scalar(select(Event).where(*lately).order_by(Event.id.desc()).limit(1))
    if last is None:
        return ok("No machine met another DHCP server within the last day.")
    return warn(
        f"Another DHCP server answered machines {count} times within the last day, last at "
        f"{last.at:%Y-%m-%d %H:%M} UTC on {last.evidence.get('interface', 'our interface')}.",
        "Find it and switch it off on this network, or use PXEAPP_DHCP=proxy.",
    )


def _node_url_inside(settings: Settings, network: Network) -> Finding:
    host = urlsplit(settings.node_url).hostname or ""
    if valid_ipv4(host) and IPAddress(host) not in IPNetwork(network.cidr) and network.gateway is None:
        return warn(
            f"PXEAPP_NODE_URL's {host} is outside {network.cidr}, and that network has no gateway.",
            "Use our address in that network as the node URL, or give the network its gateway.",
        )
    return ok(f"{settings.dhcp_interface} has an address in the network {network.name}, {network.cidr}.")


def addresses(interface: str) -> list[str]:
    """The interface's IPv4 addresses."""
    program = shutil.which("ip") or shutil.which("ip", path=SYSTEM_PATH)
    if program is None:
        return []
    done = subprocess.run(
        [program, "-json", "-4", "address", "show", "dev", interface],
        capture_output=True,
        text=True,
        check=False,
        timeout=IP_TIMEOUT_S,
    )
    if done.returncode or not done.stdout.strip():
        return []
    return [said["local"] for link in json.loads(done.stdout) for said in link.get("addr_info", []) if "local" in said]


def _elsewhere(settings: Settings, sentence: str, attempt: str) -> Finding:
    """With PostgreSQL the parts may be spread over hosts, and one that is not here need not be missing."""
    if settings.database_url.startswith("sqlite"):
        return fail(sentence, attempt)
    return warn(sentence, f"Well if another host runs it. {attempt}")


def _runs(pid_file: Path, word: str) -> bool:
    """Whether the process on record lives and is the one that we mean."""
    try:
        pid = int(pid_file.read_text())
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
