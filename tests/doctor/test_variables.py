"""What the doctor says of variables that nobody knows, and of secrets that the present key does not open."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from pxeapp.answers.models import Role
from pxeapp.doctor import variables
from pxeapp.doctor.finding import Patient
from pxeapp.machines import sealed
from pxeapp.machines.models import Cluster, Machine
from pxeapp.vault import open_vault
from tests.doctor.cases import sees
from tests.doctor.patients import NOW, add_machine


def say(patient: Patient, owner: str, said: dict[str, Any]) -> None:
    """A variable of a machine, a role or a cluster, past everything that would refuse it."""
    with patient.database.write() as session:
        if owner == "machine":
            session.execute(update(Machine).values(vars=said))
        elif owner == "role":
            session.execute(update(Role).where(Role.name == "base").values(vars=said))
        elif owner == "cluster":
            session.execute(update(Cluster).values(vars=said))
        else:
            session.execute(update(Cluster).values(secrets=said))


@pytest.fixture
def site(patient: Patient) -> Patient:
    """One machine in one cluster."""
    add_machine(patient, "node1")
    with patient.database.write() as session:
        session.add(Cluster(name="prod", created_at=NOW, updated_at=NOW))
    return patient


@sees("variables", "ok", "warn")
@pytest.mark.parametrize(("owner", "name"), [("machine", "node1"), ("role", "role base"), ("cluster", "cluster prod")])
def test_a_variable_that_nobody_knows_is_named_with_whose_it_is(site: Patient, owner: str, name: str) -> None:
    assert variables.unknown(site).status == "ok"
    say(site, owner, {"site_own": 1, "timezone": "UTC"})
    assert variables.unknown(site).status == "ok", "what begins with site_ is anybody's own"
    say(site, owner, {"timezoen": "UTC"})
    found = variables.unknown(site)
    assert (found.status, f"timezoen of {name}" in found.sentence) == ("warn", True)
    assert "pxeapp variables" in found.attempt


@sees("secrets", "ok", "fail")
@pytest.mark.parametrize(
    ("owner", "name"),
    [("machine", "node1"), ("role", "role base"), ("cluster", "cluster prod"), ("secrets", "cluster prod")],
)
def test_a_secret_that_the_present_key_does_not_open_is_named_with_whose_it_is(
    site: Patient, owner: str, name: str
) -> None:
    assert "(0)" in variables.secrets(site).sentence
    folder = site.settings.data_dir
    secret = sealed.seal(open_vault(folder), "hunter2", by="user:ada", now=NOW)
    say(site, owner, {"plain": "value", "login": {"deep": [secret]} if owner != "secrets" else secret})
    found = variables.secrets(site)
    assert (found.status, "(1)" in found.sentence) == ("ok", True)
    (folder / "secret.key").unlink()
    open_vault(folder)  # makes another
    found = variables.secrets(site)
    assert (found.status, f"login of {name}" in found.sentence) == ("fail", True)
    assert found.attempt
    assert "hunter2" not in found.sentence + found.attempt
