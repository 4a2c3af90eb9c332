"""A plan whose cloud does not let us in is refused before it is saved, at the field that names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pxeapp.clouds import service, sign_ins
from pxeapp.clouds.directory import Clouds
from pxeapp.clouds.sign_ins import SignIns
from pxeapp.db import Database
from pxeapp.errors import Invalid
from pxeapp.rollouts import reaching
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


def known(database: Database, url: str, secret: str = PASSWORD) -> SignIns:
    with database.write() as session:
        said = {"name": "prod", "auth_url": url, "username": "admin", "project": "admin", "secret": secret}
        service.create(session, VAULT, said, actor="user:ada", now=T0)
    return SignIns(database, VAULT, Clouds(database, VAULT, LOOPBACK))


def test_one_that_lets_us_in_is_asked_once_for_many_looks_at_a_plan(database: Database, cloud: FakeCloud) -> None:
    asked = known(database, f"{cloud.url}/identity/v3")
    for _ in range(3):
        reaching.refuse(asked, spec(DRAIN, {"openstack": {}}))
    assert cloud.count("POST", "/identity/v3/auth/tokens") == 1


def test_a_wrong_password_is_told_at_each_field_that_names_the_cloud_and_soon_tried_again(
    database: Database, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = known(database, f"{cloud.url}/identity/v3", "another-password")
    with pytest.raises(Invalid) as refused:
        reaching.refuse(asked, spec(DRAIN, {"ssh": {}}, {"openstack": {"cloud": "prod"}}))
    assert [each.field for each in refused.value.problems] == [
        "drain.openstack.cloud",
        "verify.gates.1.openstack.cloud",
    ]
    assert refused.value.problems[0].problem.startswith("We are not let in: ")
    assert "another-password" not in refused.value.in_full
    monkeypatch.setattr(sign_ins, "REFUSED_KEPT_S", 0.0)
    with database.write() as session:
        row = service.get(session, "prod")
        service.change(session, VAULT, row, {"secret": PASSWORD}, actor="user:ada", now=T0)
    reaching.refuse(asked, spec())


def test_one_that_is_away_is_told_and_one_that_nobody_knows_is_the_plans_own_fault(database: Database) -> None:
    asked = known(database, "http://127.0.0.1:9/identity/v3")
    with pytest.raises(Invalid) as refused:
        reaching.refuse(asked, spec())
    assert refused.value.problems[0].fix
    reaching.refuse(asked, spec({"openstack": {"cloud": "nobody"}}))
    reaching.refuse(asked, spec(None, {"ssh": {}}))
