"""Appliances for the doctor to look at, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import datetime as dt

from pxeapp.doctor.finding import Patient
from pxeapp.machines.models import Bmc, Machine
from pxeapp.vault import open_vault

NOW = dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC)
LONG_AGO = NOW - dt.timedelta(hours=1)


def with_(patient: Patient, **changes: object) -> Patient:
    """The same with other settings."""
    return dataclasses.replace(patient, settings=dataclasses.replace(patient.settings, **changes))  # type: ignore[arg-type]


def add_machine(patient: Patient, name: str = "node1", *, address: str | None = None, password: str = "") -> int:
    with patient.database.write() as session:
        number = len(name) + sum(map(ord, name))
        machine = Machine(
            name=name, mac=f"52:54:00:00:{number // 256:02x}:{number % 256:02x}", created_at=LONG_AGO, updated_at=NOW
        )
        if address is not None:
            secret = open_vault(patient.settings.data_dir).encrypt(password)
            machine.bmc = Bmc(type="ipmi", address=address, port=623, username="admin", password_encrypted=secret)
        session.add(machine)
        session.flush()
        return machine.id
