"""From a BMC's row to a driver: the only place where its password is decrypted."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netaddr import IPAddress, IPNetwork

from pxeapp import audit
from pxeapp.bmc.errors import BmcUnreachable
from pxeapp.bmc.fake import FakeBmc
from pxeapp.bmc.ports import Driver
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.models import Bmc
from pxeapp.vault import Vault

FAKE_FOLDER = "fake-bmc"  # below the data directory
Login = tuple[str, int, str, str]


def login_of(bmc: Bmc) -> Login:
    """What we log in with, the password as it is sealed: one that was refused is told from a corrected one by it."""
    return bmc.address, bmc.port, bmc.username, bmc.password_encrypted


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes drivers; one per process."""

    settings: Settings
    vault: Vault
    database: Database | None = None  # where a certificate is kept that was seen for the first time

    def driver(self, bmc: Bmc) -> Driver:
        """A fresh driver for one batch of operations; close it afterwards."""
        make = DRIVERS.get(bmc.type)
        if make is None:
            fix = f"Use one of {', '.join(sorted(DRIVERS))}."
            raise Invalid(
                f"There is no driver for a BMC of type {bmc.type!r}.",
                problems=[FieldProblem("bmc.type", f"{bmc.type!r} is not known.", fix)],
            )
        return make(self, bmc)

    def _password(self, bmc: Bmc) -> str:
        return self.vault.decrypt(bmc.password_encrypted) if bmc.password_encrypted else ""

    def _ipmi(self, bmc: Bmc) -> Driver:
        # Here, since pyghmi takes half a second of a process's start, and most of ours never talk to a BMC.
        from pxeapp.bmc.ipmi import IpmiBmc

        address = pinned(bmc.address, bmc.port, self.settings.bmc_networks)
        return IpmiBmc(address, bmc.port, bmc.username, self._password(bmc), suite=bmc.cipher_suite)

    def _redfish(self, bmc: Bmc) -> Driver:
        # Here, as above: sushy with what it stands on takes as long.
        from pxeapp.bmc.redfish.driver import RedfishBmc

        address = pinned(bmc.address, bmc.port, self.settings.bmc_networks)
        number = bmc.id
        return RedfishBmc(
            address, bmc.port, bmc.username, self._password(bmc), certificate=bmc.certificate,
            remember=lambda shown: self._remember(number, shown),
        )  # fmt: skip

    def _remember(self, number: int, certificate: str) -> None:
        """Trust the first certificate that is seen, and no other from then on; whoever comes later changes nothing."""
        if self.database is None:
            return
        with self.database.write() as session:
            row = session.get(Bmc, number, with_for_update=True)
            if row is not None and not row.certificate:
                row.certificate = certificate
                audit.record(
                    session, at=now(), actor="system:bmc", action="bmc.certificate",
                    subject=f"machine:{row.machine.name}", sha256=certificate,
                )  # fmt: skip

    def _fake(self, bmc: Bmc) -> Driver:
        return FakeBmc(self.settings.data_dir / FAKE_FOLDER, Path(bmc.address).name)


DRIVERS: dict[str, Callable[[Connector, Bmc], Driver]] = {
    "ipmi": Connector._ipmi,
    "redfish": Connector._redfish,
    "fake": Connector._fake,
}


def pinned(host: str, port: int, networks: Sequence[IPNetwork]) -> str:
    """The one address that a BMC's name means now, if it is in an allowed network.

    Resolved once and used as a number: a name that changes its mind between the check and the
    connection (DNS rebinding) gains nothing.
    """
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        try:
            address = str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])
        except OSError:
            raise BmcUnreachable(f"{host}:{port} (its name does not resolve)", 0) from None
    if not any(IPAddress(address) in network for network in networks):
        fix = "Add its network to PXEAPP_BMC_NETWORKS if it belongs there."
        raise Invalid(
            f"The BMC address {host} is outside the networks where BMCs may be.",
            problems=[FieldProblem("bmc.address", f"{address} is not in PXEAPP_BMC_NETWORKS.", fix)],
            hint=fix,
        )
    return address
