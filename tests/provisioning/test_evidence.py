"""What a watcher asks before it writes: would this be news, of a machine that has this address?"""

from __future__ import annotations

from sqlalchemy import update

from pxeapp.prepared import reading
from pxeapp.provisioning import evidence
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from tests.provisioning.rack import Rack

ADDRESS, ANOTHER = "10.77.0.11", "10.77.0.12"


def expected(rack: Rack, address: str = ADDRESS, step: Step = Step.KERNEL_FETCHED) -> bool:
    with reading(rack.provisioner.database) as run:
        return evidence.expecting(run, address, step)


def test_a_kernel_is_news_once_and_only_from_the_address_that_claimed(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    assert not expected(rack)
    machine = rack.simulated(ADDRESS)
    machine.netboot()
    assert expected(rack)
    assert not expected(rack, ANOTHER)
    machine.fetch_kernel()
    assert rack.step(number) == Step.KERNEL_FETCHED
    assert not expected(rack)
    assert not expected(rack, step=Step.NBP_FETCHED)


def test_who_was_seen_at_the_address_counts_as_who_claimed_from_it(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    rack.simulated(ADDRESS).netboot()
    with rack.provisioner.database.write() as session:
        session.execute(update(Deployment).values(claimed_address=None))
    assert expected(rack)
    with rack.provisioner.database.write() as session:
        session.execute(update(Deployment).values(outcome="failed"))
    assert not expected(rack)
