"""The operators' application over a real, migrated database, and somebody of each role who asks it things."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pxeapp import config
from pxeapp.accounts import service
from pxeapp.accounts.models import User
from pxeapp.accounts.permissions import ROLES
from pxeapp.api import events, limits
from pxeapp.api.context import Context
from pxeapp.app import create_app
from pxeapp.config import Settings
from pxeapp.db import now
from pxeapp.processes.serve import prepare
from pxeapp.software import adding
from pxeapp.software.releases import Description
from pxeapp.ui import live
from pxeapp.wiring import create_context

PASSWORD = "a-long-password"
MAC = "52:54:00:00:00:01"
BMC_PASSWORD = "correct-horse-battery"


@dataclass
class Asker:
    """A client with one token (or none)."""

    client: FlaskClient
    token: str | None

    def ask(self, method: str, path: str, **more: Any) -> Any:
        headers = dict(more.pop("headers", {}))
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return self.client.open(path, method=method, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        return self.ask("GET", f"/api/v1{path}", **more)

    def post(self, path: str, **more: Any) -> Any:
        return self.ask("POST", f"/api/v1{path}", **more)

    def patch(self, path: str, **more: Any) -> Any:
        return self.ask("PATCH", f"/api/v1{path}", **more)

    def put(self, path: str, **more: Any) -> Any:
        return self.ask("PUT", f"/api/v1{path}", **more)

    def delete(self, path: str, **more: Any) -> Any:
        return self.ask("DELETE", f"/api/v1{path}", **more)


@dataclass
class Api:
    """The application, its context, and a token of each role."""

    app: APIFlask
    context: Context
    tokens: dict[str, str]

    def of(self, role: str | None) -> Asker:
        return Asker(self.app.test_client(), self.tokens[role] if role else None)

    def with_token(self, token: str) -> Asker:
        return Asker(self.app.test_client(), token)

    def write(self) -> Any:
        return self.context.database.write()

    def read(self) -> Any:
        return self.context.database.read()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, str]]:
    """One data directory, prepared as `pxeapp serve` does it, with a release, users and tokens of each role.

    Copied for each test: hashing passwords and migrating takes longer than all that a test asks.
    """
    folder = tmp_path_factory.mktemp("prepared")
    password_file = folder / "admin-password"
    password_file.write_text(PASSWORD)
    settings = config.load(
        {
            "PXEAPP_DATA_DIR": str(folder / "data"),
            "PXEAPP_ADMIN_PASSWORD_FILE": str(password_file),
            "PXEAPP_NODE_URL": "http://10.77.0.1:8081",
        }
    )
    prepare(settings)
    context = create_app(settings).extensions["pxeapp"]
    (folder / "linux").write_bytes(b"kernel")
    (folder / "initrd.gz").write_bytes(b"initrd")
    debian = Description(name="debian-13", family="debian", version="13", install_url="{node_url}/mirror/debian")
    adding.from_directory(
        context.database, settings, debian, folder, kernel="linux", initrd="initrd.gz", actor="test", now=now()
    )
    tokens = {}
    with context.database.write() as session:
        for role in ROLES:
            _, tokens[role] = service.create_token(session, name=f"the-{role}", role=role, actor="test", now=now())
    context.database.dispose()
    return settings, tokens


@pytest.fixture(scope="session")
def routed(prepared: tuple[Settings, dict[str, str]]) -> APIFlask:
    """An application for all tests: compiling its hundreds of routes takes longer than most of them."""
    app = create_app(prepared[0])
    app.extensions["pxeapp"].database.dispose()
    return app


@pytest.fixture
def api(prepared: tuple[Settings, dict[str, str]], routed: APIFlask, tmp_path: Path) -> Iterator[Api]:
    """A fresh copy of the prepared appliance, and the application over it that has counted and heard nothing yet."""
    original, tokens = prepared
    folder = tmp_path / "data"
    shutil.copytree(original.data_dir, folder)
    settings = config.load({"PXEAPP_DATA_DIR": str(folder), "PXEAPP_NODE_URL": original.node_url})
    context = routed.extensions["pxeapp"] = create_context(settings)
    for capability in (limits, events, live):
        capability.begin(routed)
    yield Api(routed, context, tokens)
    context.database.dispose()


@pytest.fixture
def admin(api: Api) -> Asker:
    """Somebody who may do everything."""
    return api.of("admin")


@pytest.fixture
def machine(admin: Asker) -> dict[str, Any]:
    """node1, ready to be deployed, with a BMC whose password must never come back."""
    said = {
        "name": "node1", "mac": MAC, "role": "compute", "release": "debian-13",
        "bmc": {"type": "ipmi", "address": "10.0.9.1", "username": "root", "password": BMC_PASSWORD},
        "disks": {"system": "disk/by-path/pci-0000:00:1f.2-ata-1"},
    }  # fmt: skip
    made = admin.post("/machines", json=said)
    assert made.status_code == 201, made.text
    return dict(made.json)


def user(session: Session, name: str, role: str) -> User:
    """A user who can have tokens; nobody signs in as them, so their password need not be hashed."""
    row = User(name=name, role=role, password_hash="", created_at=now())
    session.add(row)
    session.flush()
    return row


def token_of(session: Session, owner: User | None, role: str, *, expires_at: dt.datetime | None = None) -> str:
    """A new token's secret."""
    _, secret = service.create_token(
        session, name="script", role=role, user=owner, expires_at=expires_at, actor="test", now=now()
    )
    return secret
