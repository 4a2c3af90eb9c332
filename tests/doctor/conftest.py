"""An appliance on loopback of which nothing runs, with and without its database."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp import config
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.doctor.finding import Patient
from pxeapp.processes.serve import prepare
from tests.doctor.patients import NOW
from tests.ports import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An appliance on loopback; nothing of it runs."""
    return config.load(
        {
            "PXEAPP_DATA_DIR": str(tmp_path / "var"),
            "PXEAPP_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
            "PXEAPP_NODE_LISTEN": f"127.0.0.1:{free_port()}",
            "PXEAPP_TFTP_LISTEN": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
            "PXEAPP_MIRROR_UPSTREAMS": "debian=http://127.0.0.1:9/debian",
        }
    )


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as the first start makes it; each test gets a copy."""
    folder = tmp_path_factory.mktemp("first") / "var"
    prepare(config.load({"PXEAPP_DATA_DIR": str(folder)}))
    return folder


@pytest.fixture
def patient(settings: Settings, first_start: Path) -> Iterator[Patient]:
    """The appliance with its database."""
    shutil.copytree(first_start, settings.data_dir)
    database = Database(settings.database_url)
    yield Patient(settings, database, NOW)
    database.dispose()
