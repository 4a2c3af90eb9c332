"""A cluster's secrets on their way: into the answer file that a token fetches, and nowhere else."""

from __future__ import annotations

import json
import logging

import pytest
from sqlalchemy import select, update

from pxeapp.answers import clusters
from pxeapp.answers.models import Role
from pxeapp.audit import AuditRow
from pxeapp.db import now as present
from pxeapp.machines import sealed
from pxeapp.machines.models import Event, Machine
from pxeapp.provisioning import answering, plan, rendered, tokens
from pxeapp.provisioning.models import Deployment
from pxeapp.software.models import Release
from tests.provisioning.rack import Rack

ENTERED = "correct-horse-battery"
CLUSTER = {
    "name": "prod",
    "vars": {"controller": "10.77.0.2", "openstack_series": "epoxy", "timezone": "Asia/Tokyo", "site_motd": "hello"},
    "secrets": {"rabbit_password": ENTERED},
}
SERIES = {"name": "openstack-epoxy", "url": "http://10.77.0.1:8081/repo/epoxy"}


@pytest.fixture
def member(rack: Rack) -> Rack:
    """node1 in the cluster prod; its role says another time zone."""
    parts = rack.provisioner
    with parts.database.write() as session:
        hand = clusters.hand(session, parts.vault, parts.templates, actor="user:ada", now=present())
        clusters.create(session, hand, CLUSTER)
        session.execute(update(Release).values(repositories=[SERIES]))
        session.execute(update(Machine).values(cluster="prod", release="rocky-9", role="compute"))
    return rack


def secrets_of(rack: Rack) -> dict[str, str]:
    with rack.provisioner.database.read() as session:
        kept = clusters.get(session, "prod").secrets
        return {name: sealed.opened(rack.provisioner.vault, value) for name, value in kept.items()}


def fetched(rack: Rack, number: int) -> str:
    with rack.provisioner.database.write() as session:
        deployment = session.get_one(Deployment, number)
        tokens.issue(session, rack.provisioner.vault, deployment, now=present())
        token = tokens.derive(rack.provisioner.vault, deployment, tokens.CONFIG)
    return answering.answer(rack.provisioner, token, "kickstart", address="10.77.0.11", now=present())


def test_they_are_made_at_the_deployment_and_go_out_with_the_answer_file_only(
    member: Rack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert secrets_of(member) == {"rabbit_password": ENTERED}
    number = member.deploy()
    secrets = secrets_of(member)
    assert {"nova_password", "neutron_password", "placement_password"} <= set(secrets)
    text = fetched(member, number)
    assert ENTERED in text
    assert secrets["nova_password"] in text
    with member.provisioner.database.read() as session:
        machine = session.scalars(select(Machine)).one()
        shown = json.dumps(rendered.rendered(session, member.checker, machine))
        told = " ".join(str(row.details) for row in session.scalars(select(AuditRow)))
        told += " ".join(f"{row.message} {row.evidence}" for row in session.scalars(select(Event)))
    for secret in secrets.values():
        assert secret not in shown
        assert secret not in told
        assert secret not in caplog.text
    assert "***" in shown


def test_a_preview_before_the_first_deployment_makes_none(member: Rack) -> None:
    with member.provisioner.database.read() as session:
        machine = session.scalars(select(Machine)).one()
        files = rendered.rendered(session, member.checker, machine)
    assert "not-generated-yet" not in json.dumps(files)
    assert secrets_of(member) == {"rabbit_password": ENTERED}


def test_a_deployment_that_is_refused_makes_none(member: Rack) -> None:
    with member.provisioner.database.write() as session:
        session.execute(update(Machine).values(locked=True))
    with pytest.raises(Exception, match="locked"):
        member.deploy()
    assert secrets_of(member) == {"rabbit_password": ENTERED}


def test_both_ways_to_the_specification_say_the_same(member: Rack) -> None:
    """The hot path reads rows past the ORM, a preview by it."""
    number = member.deploy()
    parts = member.provisioner
    with parts.database.read() as session:
        machine = session.scalars(select(Machine)).one()
        spec = plan.preview(session, parts.tools, machine, release="rocky-9", role="compute")
    assert (spec.cluster, spec.timezone, spec.vars["site_motd"]) == ("prod", "Asia/Tokyo", "hello")
    assert dict(spec.secrets) == secrets_of(member)
    assert "Asia/Tokyo" in fetched(member, number)


def test_the_more_specific_place_wins(member: Rack) -> None:
    def zone() -> str:
        parts = member.provisioner
        with parts.database.read() as session:
            machine = session.scalars(select(Machine)).one()
            return plan.preview(session, parts.tools, machine, release="rocky-9", role="compute").timezone

    def say(row: type, **said: object) -> None:
        with member.provisioner.database.write() as session:
            session.execute(update(row).values(vars=said))

    say(Role, timezone="Europe/Rome")
    assert zone() == "Asia/Tokyo"
    say(Machine, timezone="America/Lima")
    assert zone() == "America/Lima"
    say(Machine, timezone=None)
    assert zone() == "Etc/UTC"
