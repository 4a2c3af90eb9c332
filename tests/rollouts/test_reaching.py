"""A plan whose cloud or machine with rings does not let us in is refused before it is saved, at its field."""

from __future__ import annotations

from collections.abc import Iterator

import asyncssh
import pytest

from pxeapp import refusals
from pxeapp.clouds import service
from pxeapp.clouds.directory import Clouds
from pxeapp.clouds.sign_ins import SignIns
from pxeapp.db import Database
from pxeapp.errors import Invalid
from pxeapp.machines.models import Machine
from pxeapp.nodes.models import Node
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.reaching import Reaching
from pxeapp.rollouts.spec import Spec
from tests.clouds.fake_cloud import PASSWORD, FakeCloud, running
from tests.rollouts.draining import LOOPBACK, T0, VAULT

pytestmark = pytest.mark.network
DRAIN = {"openstack": {"cloud": "prod"}}


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running() as found:
        yield found


def spec(drain: object = DRAIN, *gates: object) -> Spec:
    said = {"name": "x", "machines": {"names": ["node1"]}, "action": {"reboot": {}}, "verify": {"gates": list(gates)}}
    return Spec.model_validate({**said, **({"drain": drain} if drain else {})})


def known(database: Database, url: str, secret: str = PASSWORD) -> Reaching:
    with database.write() as session:
        said = {"name": "prod", "auth_url": url, "username": "admin", "project": "admin", "secret": secret}
        service.create(session, VAULT, said, actor="user:ada", now=T0)
    sign_ins = SignIns(database, VAULT, Clouds(database, VAULT, LOOPBACK))
    return Reaching(database, sign_ins, Nodes(database, VAULT, connect_s=2))


def test_one_that_lets_us_in_is_asked_once_for_many_looks_at_a_plan(database: Database, cloud: FakeCloud) -> None:
    asked = known(database, f"{cloud.url}/identity/v3")
    for _ in range(3):
        asked.refuse(spec(DRAIN, {"openstack": {}}))
    assert cloud.count("POST", "/identity/v3/auth/tokens") == 1


def test_a_wrong_password_is_told_at_each_field_that_names_the_cloud_and_soon_tried_again(
    database: Database, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = known(database, f"{cloud.url}/identity/v3", "another-password")
    with pytest.raises(Invalid) as refused:
        asked.refuse(spec(DRAIN, {"ssh": {}}, {"openstack": {"cloud": "prod"}}))
    assert [each.field for each in refused.value.problems] == [
        "drain.openstack.cloud",
        "verify.gates.1.openstack.cloud",
    ]
    assert refused.value.problems[0].problem.startswith("We are not let in: ")
    assert "another-password" not in refused.value.in_full
    monkeypatch.setattr(refusals, "REFUSED_KEPT_S", 0.0)
    with database.write() as session:
        row = service.get(session, "prod")
        service.change(session, VAULT, row, {"secret": PASSWORD}, actor="user:ada", now=T0)
    asked.refuse(spec())


def test_one_that_is_away_is_told_and_one_that_nobody_knows_is_the_plans_own_fault(database: Database) -> None:
    asked = known(database, "http://127.0.0.1:9/identity/v3")
    with pytest.raises(Invalid) as refused:
        asked.refuse(spec())
    assert refused.value.problems[0].fix
    asked.refuse(spec({"openstack": {"cloud": "nobody"}}))
    asked.refuse(spec(None, {"ssh": {}}))


def test_a_machine_with_the_rings_that_cannot_be_reached_is_told_and_an_unknown_one_is_the_plans_own_fault(
    database: Database,
) -> None:
    asked = known(database, "http://127.0.0.1:9/identity/v3")
    with database.write() as session:
        session.add(Machine(id=1, name="rings", mac="52:54:00:00:00:01", created_at=T0, updated_at=T0))
        session.flush()
        key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        session.add(
            Node(machine_id=1, host_keys=[key], keys_from="first_boot", keys_at=T0, address="127.0.0.1", port=9)
        )
    with pytest.raises(Invalid) as refused:
        asked.refuse(spec({"swift": {"rings": "rings"}}))
    (problem,) = refused.value.problems
    assert problem.field == "drain.swift.rings"
    assert problem.problem.startswith("rings (127.0.0.1 port 9) cannot be reached by ssh: ")
    asked.refuse(spec({"swift": {"rings": "nobody"}}))
