"""What we keep of a machine. Its identity is the boot MAC plus serial and UUID; the rest hangs off it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from pxeapp.db import Base
from pxeapp.machines.disks import KnownDisk
from pxeapp.machines.lifecycle import State


class Machine(Base):
    """A physical (or simulated) server."""

    __tablename__ = "machines"
    # What lists are narrowed by and sorted by, each with the name behind it: a page is read off the index. The last one
    # is what the overview counts.
    __table_args__ = (
        *(Index(None, column, "name") for column in ("state", "role", "release", "cluster", "rack")),
        Index(None, "role", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)  # a DNS label: it becomes the host name
    mac: Mapped[str] = mapped_column(String(17), unique=True)  # the NIC it netboots from
    serial: Mapped[str | None] = mapped_column(String(100), unique=True)
    uuid: Mapped[str | None] = mapped_column(String(36), unique=True)
    state: Mapped[str] = mapped_column(String(20), default=State.ENROLLED)
    power: Mapped[str] = mapped_column(String(7), default="unknown")  # on, off, unknown; nothing acts on unknown
    power_seen_at: Mapped[dt.datetime | None]
    role: Mapped[str | None] = mapped_column(String(63))
    release: Mapped[str | None] = mapped_column(String(63))
    cluster: Mapped[str | None] = mapped_column(ForeignKey("clusters.name"))
    project: Mapped[str | None] = mapped_column(
        String(63), index=True
    )  # whose it is, see projects.py; None: everybody's
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    vars: Mapped[dict[str, Any]] = mapped_column(default=dict)
    location: Mapped[dict[str, Any]] = mapped_column(default=dict)  # site, room, rack, unit
    rack: Mapped[str | None] = mapped_column(String(100))  # of `location`, which sets it
    maintenance: Mapped[bool] = mapped_column(default=False)
    maintenance_reason: Mapped[str] = mapped_column(Text, default="")
    locked: Mapped[bool] = mapped_column(default=False)
    fault: Mapped[str] = mapped_column(Text, default="")  # the sentence that explains a failed state
    version: Mapped[int] = mapped_column(default=1)  # the ETag; every change counts it up
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime] = mapped_column(index=True)

    interfaces: Mapped[list[Interface]] = relationship(cascade="all, delete-orphan", order_by="Interface.id")
    bmc: Mapped[Bmc | None] = relationship(cascade="all, delete-orphan", back_populates="machine")
    disks: Mapped[list[Disk]] = relationship(cascade="all, delete-orphan", order_by="Disk.id")

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy reads this as a class attribute

    @validates("location")
    def _in_its_rack(self, _name: str, said: dict[str, Any]) -> dict[str, Any]:
        """The rack has a column of its own, so that a list of 10,000 machines can be narrowed and sorted by it."""
        self.rack = rack_of(said)
        return said


MOST_RACK = 100  # characters of a rack's name that are told apart


def rack_of(location: Any) -> str | None:
    """The rack of a location as a text, whether it was said as one or as a number."""
    said = location.get("rack") if isinstance(location, dict) else None
    return None if said in (None, "") else str(said)[:MOST_RACK]


class Interface(Base):
    """A network card; the one whose MAC is the machine's `mac` is the boot interface."""

    __tablename__ = "interfaces"

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"), index=True)
    mac: Mapped[str] = mapped_column(String(17), unique=True)
    name: Mapped[str | None] = mapped_column(String(32))  # as the operating system calls it: eno1
    network: Mapped[str | None] = mapped_column(ForeignKey("networks.name"))
    address: Mapped[str | None] = mapped_column(String(45))  # static or reserved; None: DHCP


class Bmc(Base):
    """How the machine's BMC is reached. The password is encrypted and goes nowhere but to the BMC."""

    __tablename__ = "bmcs"
    __table_args__ = (UniqueConstraint("address", "port"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"), unique=True)
    type: Mapped[str] = mapped_column(String(10))  # ipmi, redfish, fake
    address: Mapped[str] = mapped_column(String(255))
    port: Mapped[int] = mapped_column(default=623)
    username: Mapped[str] = mapped_column(String(100), default="")
    password_encrypted: Mapped[str] = mapped_column(Text, default="")
    cipher_suite: Mapped[int | None]
    # Redfish: the SHA-256 of the certificate it shows; "": the next one that is seen is kept.
    certificate: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))

    machine: Mapped[Machine] = relationship(back_populates="bmc")


class Disk(Base):
    """A disk as operator or inspection describes it, named by a stable path (`disk/by-path/...`)."""

    __tablename__ = "disks"

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"), index=True)
    path: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(20), default="system")  # system, data, keep, free
    serial: Mapped[str | None] = mapped_column(String(100))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    wwn: Mapped[str | None] = mapped_column(String(100))
    model: Mapped[str | None] = mapped_column(String(100))
    rotational: Mapped[bool | None]

    @property
    def known(self) -> KnownDisk:
        """The same as a plain value."""
        return KnownDisk(self.path, self.purpose, self.serial, self.size_bytes, self.wwn, self.model, self.rotational)


class Network(Base):
    """A network that we answer DHCP on or put static addresses into."""

    __tablename__ = "networks"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    cidr: Mapped[str] = mapped_column(String(43))
    gateway: Mapped[str | None] = mapped_column(String(45))
    dns: Mapped[list[str]] = mapped_column(default=list)
    ntp: Mapped[list[str]] = mapped_column(default=list)
    domain: Mapped[str] = mapped_column(String(253), default="")
    vlan: Mapped[int | None]
    dhcp_start: Mapped[str | None] = mapped_column(String(45))
    dhcp_end: Mapped[str | None] = mapped_column(String(45))


class Cluster(Base):
    """Machines that serve together. What they share, and the secrets they share, each encrypted by itself."""

    __tablename__ = "clusters"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    vars: Mapped[dict[str, Any]] = mapped_column(default=dict)
    secrets: Mapped[dict[str, Any]] = mapped_column(default=dict)  # by name, see sealed.py
    version: Mapped[int] = mapped_column(default=1)  # the ETag; every change counts it up
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy reads this as a class attribute


class Sighting(Base):
    """A machine seen on the wire, by boot MAC: unknown ones are recorded here and never written to."""

    __tablename__ = "sightings"

    mac: Mapped[str] = mapped_column(String(17), primary_key=True)
    machine_id: Mapped[int | None] = mapped_column(ForeignKey("machines.id", ondelete="SET NULL"))
    address: Mapped[str | None] = mapped_column(String(45), index=True)
    arch: Mapped[str | None] = mapped_column(String(20))  # a name from boot/firmware.py's table
    vendor_class: Mapped[str | None] = mapped_column(String(255))
    serial: Mapped[str | None] = mapped_column(String(100))
    uuid: Mapped[str | None] = mapped_column(String(36))
    manufacturer: Mapped[str | None] = mapped_column(String(100))
    product: Mapped[str | None] = mapped_column(String(100))
    first_seen: Mapped[dt.datetime]
    last_seen: Mapped[dt.datetime] = mapped_column(index=True)
    loader_requests: Mapped[int] = mapped_column(
        default=0
    )  # how often it asked for a loader since it was last deployed


class Event(Base):
    """One line of a machine's timeline: append-only, with the evidence it rests on."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "machine_id", "id"), Index(None, "deployment_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    deployment_id: Mapped[int | None]  # provisioning/ owns deployments; the timeline only carries the number
    at: Mapped[dt.datetime]
    source: Mapped[str] = mapped_column(String(16))  # dhcp, tftp, http, callback, bmc, operator, reconciler
    kind: Mapped[str] = mapped_column(String(40))  # a deploy step, a state change, a finding
    message: Mapped[str] = mapped_column(Text)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class SavedFilter(Base):
    """A list of machines that somebody wants to come back to: the query, how it is sorted, which columns it shows."""

    __tablename__ = "saved_filters"
    __table_args__ = (UniqueConstraint("scope", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(String(20))  # user:NUMBER, or shared, where names are unique each
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)  # None: shared
    name: Mapped[str] = mapped_column(String(63))
    query: Mapped[str] = mapped_column(Text)
    sort: Mapped[str] = mapped_column(String(20), default="")
    columns: Mapped[list[str]] = mapped_column(default=list)  # empty: as everybody has chosen for themselves
    created_by: Mapped[str] = mapped_column(String(200))
    updated_at: Mapped[dt.datetime]
