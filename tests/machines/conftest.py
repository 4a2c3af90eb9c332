"""A site with a few names, a vault, and short ways to import and to read back."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from netaddr import IPNetwork

from pxeapp.db import Database
from pxeapp.machines import imports, readers, wire
from pxeapp.machines.imports import Outcome
from pxeapp.machines.models import Machine
from pxeapp.machines.service import Site
from pxeapp.vault import Vault, open_vault

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
LATER = T0 + dt.timedelta(hours=1)
SITE = Site(
    roles=frozenset({"base", "compute"}),
    releases=frozenset({"rocky-9"}),
    networks=frozenset({"rack1"}),
    bmc_networks=(IPNetwork("10.0.0.0/8"),),
)
Import = Callable[..., Outcome]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(tmp_path / "vault")


def mac(number: int) -> str:
    return "52:54:00:" + ":".join(f"{(number >> shift) & 0xFF:02x}" for shift in (16, 8, 0))


def add(database: Database, *names: str, **fields: Any) -> None:
    """Put machines into the database as they are, numbered from 1."""
    with database.write() as session:
        for number, name in enumerate(names, 1):
            session.add(Machine(**{"name": name, "mac": mac(number), "created_at": T0, "updated_at": T0, **fields}))


def run_import(
    database: Database, vault: Vault, content: str | list[Any], form: str = "json", **options: Any
) -> Outcome:
    """Read and import a file as the API and the command do."""
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    records = readers.read(text.encode(), form)
    with database.write() as session:
        return imports.run(session, vault, SITE, records, actor="user:ada", now=options.pop("now", T0), **options)


def shown(database: Database) -> dict[str, dict[str, Any]]:
    """Every machine by name, as the API shows it."""
    with database.read() as session:
        return {row.name: wire.machine(row) for row in session.query(Machine)}
