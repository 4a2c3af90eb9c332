"""What is decided by locks and compare-and-set, on a real PostgreSQL: SQLite's single writer would hide a mistake."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select

from pxeapp.db import now as present
from pxeapp.errors import Conflict
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import evidence, grants, leases, lifecycle, steps
from pxeapp.provisioning.grants import Refusal
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.provisioning.rack import Rack

pytestmark = pytest.mark.postgresql


@pytest.fixture
def rack_database_url(postgresql_url: str) -> str:
    return postgresql_url


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each of them returned or raised, all begun at the same moment."""
    start = threading.Barrier(len(acts), timeout=30)
    results: list[object] = [None] * len(acts)

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = acts[number]()
        except Conflict as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_from_order_to_active(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    assert "install rocky-9" in machine.netboot()
    assert set(machine.fetch_kernel()) == {200}
    machine.fetch_answer()
    for event in ("started", "progress", "installed", "first_boot"):
        assert machine.report(event, "x") == 200
    rack.look(number)
    assert rack.deployment(number).outcome == "succeeded"
    assert rack.machine().state == State.ACTIVE


def test_of_two_who_deploy_a_machine_at_once_one_gets_it(rack: Rack) -> None:
    """Without the row's lock: only the compare-and-set decides."""

    def deploy() -> int:
        with rack.provisioner.database.write() as session:
            machine = session.scalars(select(Machine)).one()
            return lifecycle.deploy(
                session,
                machine,
                release="rocky-9",
                role="base",
                rehearsal=rack.checker.unrehearsed(),
                requested_by="user:ada",
                now=present(),
            ).id

    results = at_once(*[deploy] * 4)
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 3
    with rack.provisioner.database.read() as session:
        assert len(session.scalars(select(Deployment)).all()) == 1


def test_of_many_workers_one_gets_the_lease(rack: Rack) -> None:
    number = rack.deploy()
    now = present() + dt.timedelta(seconds=1)
    takers = [
        lambda owner=f"worker:{each}": leases.take(rack.provisioner.database, number, owner=owner, now=now)
        for each in range(6)
    ]
    taken = [lease for lease in at_once(*takers) if lease is not None]
    assert len(taken) == 1
    assert rack.deployment(number).lease_epoch == 1


def test_of_two_addresses_one_claims_the_installer_and_the_other_freezes_it(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)

    def claim(address: str) -> Refusal | None:
        with rack.provisioner.database.write() as session:
            deployment = steps.locked(session, number)
            assert deployment is not None
            return grants.claim(session, deployment, address=address, now=present())

    results = at_once(lambda: claim("10.77.0.11"), lambda: claim("10.77.0.66"))
    assert results.count(None) == 1
    [refusal] = [result for result in results if isinstance(result, Refusal)]
    assert refusal.code == "second_claimant"
    assert rack.deployment(number).frozen


def test_evidence_that_arrives_twice_at_once_counts_once(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)

    def saw() -> bool:
        with rack.provisioner.database.write() as session:
            machine = session.scalars(select(Machine)).one()
            return evidence.reached(
                session, evidence.running_of(session, machine), Step.KERNEL_FETCHED,
                now=present(), source="http", message="It fetched its kernel.",
            )  # fmt: skip

    assert sorted(map(bool, at_once(*[saw] * 4))) == [False, False, False, True]
    reached = [entry["step"] for entry in rack.deployment(number).steps]
    assert reached.count(Step.KERNEL_FETCHED) == 1
