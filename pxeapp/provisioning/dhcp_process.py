"""The `dhcp` process: dnsmasq configured from our networks and machines, and its log read as evidence."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.boot import dnsmasq
from pxeapp.boot.dhcp import Observation
from pxeapp.boot.dnsmasq import DhcpNetwork, DhcpPlan, Reservation
from pxeapp.boot.runner import DnsmasqRunner
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import PxeError, Unavailable
from pxeapp.machines import sightings, timeline
from pxeapp.machines.models import Interface, Machine, Network
from pxeapp.provisioning import evidence
from pxeapp.provisioning.netboot import Provisioner
from pxeapp.provisioning.steps import Step

REFRESH_S = 2.0  # how soon a new machine's reservation takes effect
SECURE_BOOT_LABEL = "secure_boot"  # a machine with this label set to "true" is offered shim and GRUB, not iPXE
log = logging.getLogger(__name__)


Say = Callable[[str], None]


def plan(session: Session, settings: Settings, mode: Literal["proxy", "full"], say: Say = log.warning) -> DhcpPlan:
    """What dnsmasq must know now, from rows. What cannot be used of a machine is left out and said."""
    networks = [
        DhcpNetwork(
            name=row.name,
            cidr=row.cidr,
            start=row.dhcp_start,
            end=row.dhcp_end,
            gateway=row.gateway,
            dns=tuple(each for each in row.dns if ":" not in each),
            ntp=tuple(each for each in row.ntp if ":" not in each),
            domain=row.domain,
        )
        for row in session.scalars(select(Network).order_by(Network.name))
        if ":" not in row.cidr  # we netboot over IPv4; an IPv6 network is for the installed systems
    ]
    return DhcpPlan(
        mode=mode,
        interface=settings.dhcp_interface,
        node_url=settings.node_url,
        networks=tuple(networks),
        lease_file=settings.run_dir / "dnsmasq.leases",
        reservations=tuple(_reservations(session, say)),
    )


def _reservations(session: Session, say: Say) -> list[Reservation]:
    """One for each machine. An address that two have is the older one's, so that the rest of the site boots."""
    found: list[Reservation] = []
    holders: dict[str, str] = {}
    rows = session.execute(
        select(Machine.name, Machine.labels, Machine.mac, Interface.address)
        .join(Interface, (Interface.machine_id == Machine.id) & (Interface.mac == Machine.mac), isouter=True)
        .order_by(Machine.id)
    )
    for name, labels, mac, address in rows:
        secure = str(labels.get(SECURE_BOOT_LABEL, "")).lower() == "true"
        reserved = address if address is not None and ":" not in address else None
        if reserved in holders:
            say(f"{name} gets no reservation of {reserved}, which is {holders[reserved]}'s; correct one of the two.")
            reserved = None
        try:
            found.append(Reservation(name=name, mac=mac, address=reserved, secure_boot=secure))
        except PxeError as error:
            say(f"{name} gets no DHCP reservation: {error}")
            continue
        if reserved is not None:
            holders[reserved] = name
    return found


class DhcpProcess:
    """Runs dnsmasq until told to stop, keeps its configuration current, and keeps what it saw."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner
        self._database: Database = provisioner.database
        settings = provisioner.settings
        self._runner = DnsmasqRunner(settings.run_dir / "dnsmasq.conf", self.observe)
        self._stop = threading.Event()
        self._said: set[str] = set()  # what was complained of: looking every two seconds, we say each only once

    def run(self, stop: threading.Event) -> None:
        """Blocks until `stop`; without a network row it waits for one, since there is nothing to answer on."""
        self._stop = stop
        while not self._refresh() and not stop.wait(REFRESH_S):
            pass
        if stop.is_set():
            return
        refresher = threading.Thread(target=self._refresh_for_ever, name="refresh", daemon=True)
        refresher.start()
        self._runner.run(stop)

    def observe(self, observation: Observation) -> None:
        """Keep one packet's worth of evidence."""
        try:
            with self._database.write() as session:
                keep(session, observation, now=now())
        except Unavailable as error:
            log.warning("That %s asked for an address was not kept: %s", observation.mac, error)

    def _refresh(self) -> bool:
        settings = self._provisioner.settings
        if settings.dhcp == "off":
            return False
        complaints: list[str] = []
        try:
            with self._database.read() as session:
                known = plan(session, settings, settings.dhcp, complaints.append)
                text = dnsmasq.render(known, self._provisioner.templates)
            self._runner.apply(text)
        except PxeError as error:
            complaints.append(f"dnsmasq keeps its last configuration: {error}")
            return self._runner.conf_path.exists()
        finally:
            self._complain(complaints)
        return True

    def _complain(self, complaints: list[str]) -> None:
        for each in complaints:
            if each not in self._said:
                log.warning("%s", each)
        self._said = set(complaints)

    def _refresh_for_ever(self) -> None:
        while not self._stop.wait(REFRESH_S):
            try:
                self._refresh()
            except Exception:  # one bad refresh must not end all later ones
                log.exception("The DHCP configuration could not be refreshed")


def keep(session: Session, observation: Observation, *, now: dt.datetime) -> None:
    """The sighting, and the step if this is the boot that a deployment waits for."""
    machine = evidence.machine_by_mac(session, observation.mac)
    sightings.record(
        session,
        mac=observation.mac,
        machine_id=machine.id if machine else None,
        address=observation.address,
        arch=observation.arch,
        vendor_class=observation.vendor_class,
        now=now,
    )
    if observation.rival:
        _rival(session, machine, observation, now)
    if machine is None or observation.arch is None:
        return  # without an architecture it is an operating system renewing its lease, not firmware that boots
    evidence.reached(
        session,
        evidence.running_of(session, machine),
        Step.DHCP_SEEN,
        now=now,
        source="dhcp",
        message=f"{observation.mac} ({observation.arch}) asked for an address and got {observation.address or 'none'}.",
        address=observation.address,
        arch=observation.arch,
        boot_file=observation.boot_file,
        vendor_class=observation.vendor_class,
    )


def _rival(session: Session, machine: Machine | None, observation: Observation, now: dt.datetime) -> None:
    """A machine had taken another server's offer: in full mode we must be the only one, or installs fail by chance."""
    log.warning("Another DHCP server on %s offered %s an address.", observation.interface, observation.mac)
    if machine is not None:
        timeline.note(
            session,
            machine_id=machine.id,
            at=now,
            source="dhcp",
            kind="rival_dhcp",
            message=f"Another DHCP server answers on {observation.interface}; this machine had taken its offer. "
            "Find it and switch it off, or use PXEAPP_DHCP=proxy.",
            interface=observation.interface,
        )
