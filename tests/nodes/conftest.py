"""A machine that is installed, as far as ssh can tell: a real sshd on loopback, its host key pinned."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.db import Database
from pxeapp.machines.models import Machine
from pxeapp.nodes import keys, pins
from pxeapp.nodes.reach import Nodes
from pxeapp.vault import Vault, open_vault
from tests.nodes import sshd as real
from tests.nodes.sshd import Sshd
from tests.ports import free_port

T0 = dt.datetime(2026, 11, 26, 2, 0, tzinfo=dt.UTC)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(tmp_path / "vault")


@pytest.fixture
def sshd(tmp_path: Path, vault: Vault) -> Iterator[Sshd]:
    if not real.USABLE:
        pytest.skip(real.MISSING)
    with real.running(tmp_path / "sshd", keys.public_key(vault), free_port()) as found:
        yield found


def machine(database: Database, name: str = "m1") -> int:
    """A machine without anything."""
    with database.write() as session:
        row = Machine(name=name, mac=f"52:54:00:00:00:{len(name):02x}", created_at=T0, updated_at=T0)
        session.add(row)
        session.flush()
        return row.id


def pin(database: Database, machine_id: int, host_keys: list[str], *, port: int = 22, username: str = "") -> None:
    with database.write() as session:
        row = session.get_one(Machine, machine_id)
        pins.record(
            session, row, host_keys, address="127.0.0.1", port=port, username=username, actor="user:ada", now=T0
        )


@pytest.fixture
def machine_id(database: Database, sshd: Sshd) -> int:
    """The machine behind the sshd."""
    number = machine(database)
    pin(database, number, [sshd.host_key], port=sshd.port, username=sshd.user)
    return number


@pytest.fixture
def nodes(database: Database, vault: Vault, tmp_path: Path) -> Nodes:
    return Nodes(database, vault, connect_s=5.0, folder=str(tmp_path / "jobs"))
