"""Machines of a rollout are given what there was when it began, whatever is edited meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import delete

from pxeapp.answers import clusters, site_templates
from pxeapp.answers.roles import rows as roles
from pxeapp.db import now
from pxeapp.errors import Invalid
from pxeapp.machines import networks, selectors
from pxeapp.machines.models import Interface
from pxeapp.provisioning import editions, lifecycle, members, plan
from pxeapp.provisioning.editions import Edition
from pxeapp.provisioning.models import Deployment
from pxeapp.software import releases
from pxeapp.versions import Version
from tests.provisioning.rack import MAC, Rack

TEMPLATE = "kickstarts/_packages.ks"


def edition(rack: Rack) -> Edition:
    with rack.provisioner.database.read() as session:
        return editions.present(session)


def deploy(rack: Rack, as_of: Edition | None) -> int:
    """As a rollout orders it."""
    own = rack.provisioner.database
    rehearsal = rack.checker.rehearse(own, "node1", release="rocky-9", role="compute", edition=as_of)
    with own.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        return lifecycle.deploy(
            session, machine, release="rocky-9", role="compute", rehearsal=rehearsal, requested_by="system:rollout 1",
            now=now(),
        ).id  # fmt: skip


def given(rack: Rack, as_of: Edition | None) -> tuple[str, str]:
    """The boot script and the answer file of an attempt, which is then given up."""
    number = deploy(rack, as_of)
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    text = machine.fetch_answer()
    with rack.provisioner.database.write() as session:
        lifecycle.abort(session, selectors.get(session, "node1", lock=True), requested_by="user:ada", now=now())
    tokens = {part: "T" for url in (machine.answer_url, machine.callback_url) if (part := url.rpartition("/")[2])}
    script = machine.script
    for token in tokens:
        text, script = text.replace(token, "T"), script.replace(token, "T")
    return script, text


def hand(rack: Rack, session: Any) -> Any:
    return clusters.hand(session, rack.provisioner.vault, rack.provisioner.templates, actor="user:eve", now=now())


def save(rack: Rack, path: str, text: str) -> None:
    with rack.provisioner.database.write() as session:
        site_templates.save(session, rack.provisioner.templates, path, text, author="user:eve", comment="", now=now())
    site_templates.bring(rack.provisioner.database, rack.provisioner.settings.templates_dir)


@pytest.fixture
def site(rack: Rack) -> Rack:
    """The machine is in a cluster and a network, with a template of the site's own."""
    with rack.provisioner.database.write() as session:
        said = {"name": "lan", "cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "dns": ["10.77.0.1"]}
        networks.create(session, said, actor="user:ada", now=now())
        clusters.create(session, hand(rack, session), {"name": "east", "vars": {"timezone": "Europe/Rome"}})
        machine = selectors.get(session, "node1")
        machine.cluster = "east"
        machine.interfaces = [Interface(mac=MAC, name="eno1", network="lan", address="10.77.0.11")]
    return rack


def edit_everything(rack: Rack) -> None:
    with rack.provisioner.database.write() as session:
        releases.update(session, "rocky-9", {"kernel_args": "edited=1"}, actor="user:eve", now=now())
        networks.change(session, "lan", {"gateway": "10.77.0.254"}, actor="user:eve", now=now())
        row = roles.get(session, "compute")
        members.change_role(
            session, rack.provisioner.templates, hand(rack, session), row, {"packages": {"el": ["edited-package"]}}
        )
        clusters.change(session, hand(rack, session), "east", {"vars": {"timezone": "Asia/Tokyo"}})
    save(rack, TEMPLATE, "%packages\nedited-template\n%end\n")


def test_an_attempt_of_an_edition_is_byte_for_byte_what_it_was(site: Rack) -> None:
    begun = edition(site)
    before = given(site, None)
    edit_everything(site)
    assert given(site, begun) == before
    script, text = given(site, None)
    assert "edited=1" in script
    assert "edited-template" in text
    assert "Asia/Tokyo" in text
    assert "10.77.0.254" in script + text


def test_what_was_deleted_of_the_sites_own_templates_is_there_for_whoever_began_with_it(site: Rack) -> None:
    save(site, TEMPLATE, "%packages\nof-the-site\n%end\n")
    begun = edition(site)
    with site.provisioner.database.write() as session:
        site_templates.delete(session, site.provisioner.templates, TEMPLATE, author="user:eve", now=now())
    site_templates.bring(site.provisioner.database, site.provisioner.settings.templates_dir)
    assert "of-the-site" in given(site, begun)[1]
    assert "of-the-site" not in given(site, None)[1]


def test_a_mistake_made_meanwhile_keeps_nobody_of_the_edition_from_being_deployed(site: Rack) -> None:
    begun = edition(site)
    save(site, TEMPLATE, "%packages\n%end\nnetwork --no-such-option=1\n")
    with pytest.raises(Invalid, match="cannot be deployed"):
        deploy(site, None)
    assert deploy(site, begun)


def test_the_edition_is_kept_with_the_attempt_and_others_have_none(site: Rack) -> None:
    begun = edition(site)
    with site.provisioner.database.read() as session:
        first = session.get_one(Deployment, deploy(site, begun))
    assert editions.of(first.as_of) == begun
    assert json.dumps(first.as_of)
    with site.provisioner.database.write() as session:
        lifecycle.abort(session, selectors.get(session, "node1", lock=True), requested_by="user:ada", now=now())
    with site.provisioner.database.read() as session:
        assert session.get_one(Deployment, deploy(site, None)).as_of is None


def test_what_nobody_knows_any_more_is_refused_and_not_guessed(site: Rack) -> None:
    begun = edition(site)
    edit_everything(site)
    with site.provisioner.database.write() as session:
        session.execute(delete(Version).where(Version.kind == "roles", Version.name == "compute"))
        row = roles.get(session, "compute")
        members.change_role(
            session, site.provisioner.templates, hand(site, session), row, {"packages": {"el": ["again"]}}
        )
        session.flush()
        session.execute(delete(Version).where(Version.kind == "roles", Version.action == "found"))
    with pytest.raises(Invalid, match="What the role compute was when this began is not kept any more"):
        deploy(site, begun)


def test_nothing_edited_costs_no_other_templates(site: Rack) -> None:
    begun = edition(site)
    with site.provisioner.database.read() as session:
        tools, known = editions.means(session, site.checker.tools, begun)
        assert tools is site.checker.tools
        assert isinstance(known, plan.Known)
