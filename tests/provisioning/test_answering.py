"""Handing out answer files: the recorded hash is that of the bytes served; one that cannot be made ends the attempt."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Event
from pxeapp.provisioning import causes, plan
from pxeapp.provisioning.models import Served
from pxeapp.software.repositories.models import SoftwareRepository
from tests.provisioning.rack import Rack
from tests.provisioning.simulated import SimulatedMachine


def _booted(rack: Rack) -> tuple[int, SimulatedMachine]:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    return number, machine


def _served(rack: Rack, number: int) -> list[tuple[str, str, int]]:
    with rack.provisioner.database.read() as session:
        rows = session.scalars(select(Served).where(Served.deployment_id == number).order_by(Served.id))
        return [(row.kind, row.sha256, row.size) for row in rows]


def test_the_recorded_hash_is_that_of_the_bytes_served(rack: Rack) -> None:
    number, machine = _booted(rack)
    with rack.client.get(f"{machine.answer_url}/kickstart") as reply:
        body = reply.data
    assert ("kickstart", hashlib.sha256(body).hexdigest(), len(body)) in _served(rack, number)
    assert ("ipxe", hashlib.sha256(machine.script.encode()).hexdigest(), len(machine.script)) in _served(rack, number)
    with rack.client.get(f"{machine.answer_url}/kickstart") as again:
        assert again.data == body  # byte for byte, as often as it asks
    assert len([kind for kind, *_ in _served(rack, number) if kind == "kickstart"]) == 1


def test_another_installers_file_is_not_there_and_nothing_ends(rack: Rack) -> None:
    number, machine = _booted(rack)
    assert machine.get(f"{machine.answer_url}/preseed") == (404, "There is nothing here.\n")
    assert rack.deployment(number).outcome is None
    assert machine.fetch_answer()


def test_a_template_that_cannot_be_rendered_ends_the_attempt_and_says_why(rack: Rack) -> None:
    number, machine = _booted(rack)
    folder = rack.provisioner.settings.templates_dir / "kickstarts"
    folder.mkdir(parents=True)
    (folder / "_network.ks").write_text("# the site's\nnetwork {{ oops }}\n")
    status, said = machine.get(f"{machine.answer_url}/kickstart")
    assert status == 422
    assert "oops" in said
    failed = rack.deployment(number)
    assert (failed.outcome, failed.reason_code) == ("failed", "answer_not_made")
    assert "Its kickstart could not be made:" in failed.reason
    assert "kickstarts/_network.ks, line 2: 'oops' is undefined" in failed.reason
    assert rack.machine().state == State.DEPLOY_FAILED
    assert rack.machine().fault == failed.reason
    assert "template" in causes.of("answer_not_made")[0].cause
    assert machine.get(f"{machine.answer_url}/kickstart")[0] == 404  # its token died with the attempt


def test_a_variable_that_went_bad_meanwhile_ends_the_attempt_by_its_name(rack: Rack) -> None:
    number, machine = _booted(rack)
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).vars = {"timezone": "Europe/Rome\n%post"}
    assert machine.get(f"{machine.answer_url}/kickstart")[0] == 422
    assert "timezone:" in rack.deployment(number).reason
    with rack.provisioner.database.read() as session:
        kinds = session.scalars(select(Event.kind)).all()
    assert "deploy failed" in kinds


def test_who_reads_a_repository_of_ours_is_given_its_key_and_of_one_by_hand_none(rack: Rack) -> None:
    number, machine = _booted(rack)
    said = [{"name": name, "url": f"{{node_url}}/repo/{name}"} for name in ("tools", "by-hand")]
    with rack.provisioner.database.write() as session:
        session.add(
            SoftwareRepository(
                name="tools", kind="rpm", origin="local", manifest="0" * 64, created_at=now(), updated_at=now()
            )
        )
        selectors.get(session, "node1", lock=True).vars = {"repositories": said}
    _, text = machine.get(f"{machine.answer_url}/kickstart")
    keyed, _, by_hand = text.partition("[by-hand]")
    assert "\nrepo_gpgcheck=1\ngpgcheck=0\n" in keyed[keyed.index("[tools]") :]
    assert "/repo/keys/pxeapp.asc" in keyed
    assert "\ngpgcheck=0\n" in by_hand
    assert "repo_gpgcheck" not in by_hand
    with rack.provisioner.database.read() as session:
        row = selectors.get(session, "node1")
        deployment = rack.deployment(number)
        spec = plan.preview(session, rack.provisioner.tools, row, release=deployment.release, role=deployment.role)
    assert [each.ours for each in spec.site.repositories] == [True, False]
