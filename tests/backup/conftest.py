"""An appliance worth keeping: machines, secrets, templates, media, and deployments at every step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp import config
from pxeapp.backup import making, restoring
from pxeapp.backup.making import Wish
from pxeapp.backup.restoring import Restored
from pxeapp.cli import main
from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Bmc, Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.vault import open_vault
from tests.provisioning.rack import Rack, rack, rack_database_url

__all__ = ["rack", "rack_database_url"]

PASSWORD = "correct-horse-battery"
Pxeapp = Callable[..., Result]


@pytest.fixture
def settings(rack: Rack) -> Settings:
    """The rack's, with a site's own template and a BMC password."""
    found = rack.provisioner.settings
    site = found.templates_dir / "kickstarts"
    site.mkdir(parents=True)
    (site / "monitor.ks").write_text("%packages\n%end\n")
    with rack.provisioner.database.write() as session:
        machine = Machine(
            name="node2", mac="52:54:00:00:00:02", state=State.ENROLLED, created_at=now(), updated_at=now()
        )
        machine.bmc = Bmc(
            type="ipmi",
            address="10.0.0.2",
            username="root",
            password_encrypted=rack.provisioner.vault.encrypt(PASSWORD),
        )
        session.add(machine)
    return found


@pytest.fixture
def pxeapp(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Pxeapp:
    """Runs a command with the settings of a data directory; the appliance's own if none is named."""

    def run(*words: str, data_dir: Path | None = None, url: str = "") -> Result:
        monkeypatch.setenv("PXEAPP_DATA_DIR", str(data_dir or settings.data_dir))
        monkeypatch.setenv("PXEAPP_NODE_URL", settings.node_url)
        monkeypatch.setenv("PXEAPP_DATABASE_URL", url)
        return CliRunner().invoke(main, list(words))

    return run


def at(data_dir: Path, url: str = "") -> Settings:
    return config.load(
        {
            "PXEAPP_DATA_DIR": str(data_dir),
            "PXEAPP_NODE_URL": "http://10.77.0.1:8081",
            "PXEAPP_DATABASE_URL": url,
        }
    )


def database_of(data_dir: Path) -> Database:
    return Database(at(data_dir).database_url)


def bmc_password(data_dir: Path, database: Database) -> str:
    with database.read() as session:
        stored = session.query(Bmc.password_encrypted).filter_by(address="10.0.0.2").scalar()
    return open_vault(data_dir).decrypt(stored)


def age(rack: Rack, number: int, by: dt.timedelta) -> None:
    """Have a deployment's time run out long ago."""
    with rack.provisioner.database.write() as session:
        row = session.get_one(Deployment, number)
        for name in ("step_since", "step_deadline", "deadline", "due_at"):
            setattr(row, name, getattr(row, name) - by)


def backup(settings: Settings, target: Path, wish: Wish | None = None) -> Path:
    making.make(settings, target, wish or Wish(), say=lambda _line: None, now=now())
    return target


def restore(
    source: Path, data_dir: Path, *, replace: bool = False, later: dt.timedelta = dt.timedelta(), url: str = ""
) -> Restored:
    return restoring.restore(at(data_dir, url), source, replace=replace, say=lambda _line: None, now=now() + later)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "data"
