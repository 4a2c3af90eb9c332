"""Handing out answer files: the recorded hash is that of the bytes served; one that cannot be made ends the attempt."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Event
from pxeapp.provisioning import causes
from pxeapp.provisioning.models import Served
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
