"""Whoever upgrades can go back to what there was when they did: each row's first version is what it was then."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text

from pxeapp import migrations, versions
from pxeapp.answers import roles, sealing
from pxeapp.db import Database, now
from pxeapp.machines import networks, sealed
from pxeapp.templates import Templates
from pxeapp.vault import open_vault

BEFORE = "0012"
HASH = "$6$abcdefgh$" + "x" * 86
INSERTS = """
INSERT INTO networks (name, cidr, dns, ntp, domain, vlan)
    VALUES ('lan', '10.0.0.0/24', '["10.0.0.1"]', '[]', '', 7);
INSERT INTO roles (name, description, packages, services, storage, vars, variables, builtin)
    VALUES ('mine', 'Mine.', '{"el": ["vim"]}', '{}', '{}', '{"root_password_hash": "HASH"}', '{}', FALSE);
INSERT INTO clusters (name, description, vars, secrets, version, created_at, updated_at)
    VALUES ('lab', 'A lab.', '{"site_a": 1}', '{}', 1, '2026-11-01 00:00:00', '2026-11-01 00:00:00')
"""


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_what_is_there_becomes_the_first_version_with_its_secrets_sealed(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}" if backend == "sqlite" else request.getfixturevalue("postgresql_url")
    database = Database(url)
    command.upgrade(migrations.alembic_config(database), BEFORE)
    with database.engine.begin() as connection:
        for insert in INSERTS.replace("HASH", HASH).split(";"):
            connection.exec_driver_sql(insert)
    migrations.upgrade(database)
    with database.write() as session:  # as `pxeapp db upgrade` and `pxeapp serve` do
        roles.ensure_builtin(session, now=now())
        sealing.seal_open_secrets(session, open_vault(tmp_path / "data"), Templates(), now=now())
    with database.read() as session:
        lan = versions.get(session, versions.NETWORKS, "lan", 1)
        assert (lan.action, lan.author, lan.body) == (
            "found", "system:upgrade", dict(networks.body(networks.get(session, "lan"))),
        )  # fmt: skip
        mine = versions.body(session, versions.ROLES, "mine", 1)
        assert mine["packages"] == {"el": ["vim"]}
        assert sealed.is_sealed(mine["vars"]["root_password_hash"])
        assert versions.body(session, versions.CLUSTERS, "lab", 1)["vars"] == {"site_a": 1}
        assert HASH not in str(session.execute(text("SELECT * FROM versions")).all())
        assert [row.action for row in versions.listing(session, versions.ROLES, "compute")] == ["upgrade"]
    command.downgrade(migrations.alembic_config(database), BEFORE)
    assert "versions" not in inspect(database.engine).get_table_names()
    database.dispose()
