"""A deployment from order to active: fake BMC and simulated machine; real database, reconciler and HTTP."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from pxeapp.db import now as present
from pxeapp.errors import Conflict, Invalid
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Event, Sighting
from pxeapp.provisioning import explain, leases, lifecycle
from pxeapp.provisioning.models import NodeToken, Served
from pxeapp.provisioning.steps import ORDER, Step
from tests.provisioning.rack import Rack
from tests.provisioning.simulated import SimulatedMachine


def test_from_order_to_active_every_step_with_its_evidence(rack: Rack) -> None:
    number = rack.deploy()
    assert rack.machine().state == State.DEPLOYING
    rack.work(number)
    assert rack.step(number) == Step.POWER_CYCLED
    machine = rack.simulated()
    assert "install rocky-9" in machine.netboot()
    assert rack.step(number) == Step.NBP_FETCHED
    assert set(machine.fetch_kernel()) == {200}
    assert rack.step(number) == Step.KERNEL_FETCHED
    machine.fetch_answer()
    assert machine.report("started") == 200
    assert machine.report("progress", "Installing packages") == 200
    assert rack.deployment(number).progress == "Installing packages"
    assert machine.report("installed") == 200
    assert rack.deployment(number).grant == "disarmed"
    assert machine.report("first_boot") == 200
    rack.look(number)
    done = rack.deployment(number)
    assert (done.step, done.outcome) == (Step.VERIFIED, "succeeded")
    assert rack.machine().state == State.ACTIVE
    reached = [entry["step"] for entry in done.steps]
    assert reached == [step for step in ORDER if step not in (Step.REQUESTED, Step.DHCP_SEEN)]
    with rack.provisioner.database.read() as session:
        kinds = {row.kind for row in session.scalars(select(Served))}
    assert {"ipxe", "kickstart"} <= kinds


def test_boot_and_answers_hold_no_secret_of_the_appliance_and_tokens_are_bound_to_the_claim(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    with rack.provisioner.database.read() as session:
        hashes = {row.token_hash for row in session.scalars(select(NodeToken))}
    assert len(hashes) == 2
    assert not any(digest in machine.script for digest in hashes)


def test_after_the_installer_started_the_same_machine_is_sent_to_its_disk(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    machine.fetch_answer()
    machine.report("started")
    again = rack.simulated()
    again.netboot()
    assert not again.was_given_an_installer


def test_a_machine_that_is_not_armed_or_not_known_gets_the_same_local_boot(rack: Rack) -> None:
    known = rack.simulated().netboot()
    unknown = SimulatedMachine(rack.client, "52:54:00:00:00:99").netboot()
    assert known == unknown
    assert "sanboot" in known
    with rack.provisioner.database.read() as session:
        stranger = session.get_one(Sighting, "52:54:00:00:00:99")
        assert stranger.machine_id is None
        assert stranger.address == "10.77.0.11"


def test_second_claimant_ends_the_attempt_and_alarms(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    rack.simulated().netboot()
    forger = rack.simulated("10.77.0.66")
    forger.netboot()
    assert not forger.was_given_an_installer
    rack.look(number)
    failed = rack.deployment(number)
    assert (failed.outcome, failed.reason_code) == ("failed", "second_claimant")
    assert "10.77.0.11" in rack.machine().fault


def test_reported_failure_ends_with_the_installers_own_words(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    machine.fetch_answer()
    machine.report("started")
    assert machine.report("failed", "No space left on device\nlast line") == 200
    assert rack.machine().state == State.DEPLOY_FAILED
    with rack.provisioner.database.read() as session:
        why = explain.explain(session, selectors.get(session, "node1"), present())
    assert "No space left on device" in why.summary
    assert why.code == "installer_failed"
    # The machine asks again for what it was: it is told that it may stop, and nothing changes.
    assert machine.report("installed") == 200
    assert rack.machine().state == State.DEPLOY_FAILED


def test_events_out_of_order_and_repeated_change_nothing_twice(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    machine.fetch_answer()
    assert machine.report("installed") == 200
    assert machine.report("started") == 200
    for _ in range(5):
        assert machine.report("installed") == 200
    assert rack.step(number) == Step.INSTALLED
    with rack.provisioner.database.read() as session:
        events = session.scalars(select(Event).where(Event.kind == "installed")).all()
    assert len(events) == 1


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"not json", "application/json"),
        (b"[1, 2]", "application/json"),
        (b'{"event": 7}', "application/json"),
        (b'{"event": "exploded"}', "application/json"),
        (b'{"event": "started", "message": {}}', "application/json"),
        (b"\xff\xfe\x00", "application/octet-stream"),
        (b"[" * 100_000, "application/json"),
        (b'{"event": "started", "message": "' + b"x" * 100_000 + b'"}', "application/json"),
    ],
)
def test_a_bad_callback_is_refused_and_changes_nothing(rack: Rack, body: bytes, content_type: str) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    machine.fetch_answer()
    reply = rack.client.post(f"{machine.callback_url}/events", data=body, content_type=content_type)
    assert 400 <= reply.status_code < 500
    assert rack.step(number) == Step.ANSWER_FETCHED


def test_guessed_tokens_find_nothing(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    for path in ("/a/guess/kickstart", f"/a/{'A' * 43}/kickstart", "/a/../kickstart"):
        assert rack.client.get(path).status_code == 404
    assert rack.client.post(f"/c/{'A' * 43}/events", json={"event": "installed"}).status_code == 404


def test_abort_works_before_anything_was_switched_and_closes_the_grant(rack: Rack) -> None:
    number = rack.deploy()
    rack.look(number)
    with rack.provisioner.database.write() as session:
        lifecycle.abort(session, selectors.get(session, "node1", lock=True), requested_by="user:ada", now=present())
    assert rack.machine().state == State.DEPLOY_FAILED
    assert rack.deployment(number).outcome == "aborted"
    machine = rack.simulated()
    machine.netboot()
    assert not machine.was_given_an_installer
    assert [entry["command"] for entry in rack.bmc.received()] == ["power on"]
    assert rack.carrier.claim(limit=5) == []
    second = rack.deploy()
    assert rack.deployment(second).attempt == 2


def test_a_stalled_step_fails_with_what_was_seen_last(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    rack.look(number, after=dt.timedelta(minutes=16))
    failed = rack.deployment(number)
    assert (failed.outcome, failed.reason_code) == ("failed", "no_dhcp")
    assert "no DHCP request of its boot MAC was seen" in failed.reason
    with rack.provisioner.database.read() as session:
        why = explain.explain(session, selectors.get(session, "node1"), present())
    assert why.causes
    assert why.code == "no_dhcp"


def test_bmc_trouble_becomes_the_deployments_reason(rack: Rack) -> None:
    rack.bmc.behave("wrong_password")
    number = rack.deploy()
    rack.work(number)
    failed = rack.deployment(number)
    assert failed.reason_code == "bmc_wrong_password"
    with rack.provisioner.database.read() as session:
        why = explain.explain(session, selectors.get(session, "node1"), present())
    assert "password" in why.causes[0].cause


def test_an_active_machine_is_not_erased_by_accident(rack: Rack) -> None:
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1").state = State.ACTIVE
    with pytest.raises(Conflict, match="would erase it"):
        rack.deploy()
    assert rack.deploy(reimage=True)


def test_what_became_unbootable_since_the_order_ends_the_attempt_and_boots_the_disk(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1").vars = {"timezone": "Nowhere; reboot"}
    machine = rack.simulated()
    machine.netboot()
    assert not machine.was_given_an_installer
    failed = rack.deployment(number)
    assert (failed.outcome, failed.reason_code) == ("failed", "boot_not_made")
    assert "timezone" in failed.reason
    assert rack.machine().fault == failed.reason


@pytest.mark.parametrize(("field", "value"), [("release", "plan9"), ("role", "juggler")])
def test_unknown_release_or_role_is_refused_with_what_is_known(rack: Rack, field: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        rack.deploy(**{field: value})
    assert caught.value.problems[0].field == field
    assert "Known:" in caught.value.problems[0].fix
    assert rack.machine().state == State.ENROLLED


def test_a_worker_that_wakes_up_late_commits_nothing(rack: Rack) -> None:
    number = rack.deploy()
    lease = leases.take(rack.provisioner.database, number, owner="worker:frozen", now=present())
    assert lease is not None
    assert not rack.reconciler.look(number, now=present()), "somebody else holds it"
    later = present() + leases.LEASE + dt.timedelta(seconds=1)
    assert rack.reconciler.look(number, now=later)
    assert not leases.held(rack.deployment(number), lease)
