"""A reinstallation is ordered once, through the checks that every deployment goes through, and followed to its end."""

from __future__ import annotations

import pytest

from pxeapp.db import now as present
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.provisioning import breaker, lifecycle
from pxeapp.provisioning.models import Breaker
from pxeapp.rollouts.port import Done, Failed, Subject, Waiting
from pxeapp.rollouts.steps.reinstall import Reinstall
from tests.provisioning.rack import Rack, rack, rack_database_url
from tests.rollouts.steps.subjects import subject

__all__ = ["rack", "rack_database_url"]


@pytest.fixture
def hints() -> list[int]:
    return []


@pytest.fixture
def step(rack: Rack, hints: list[int]) -> Reinstall:
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1")
        machine.state, machine.release, machine.role = State.SERVICING, "rocky-9", "compute"
    return Reinstall(rack.provisioner.database, rack.checker, hints.append)


def about(rack: Rack, **more: object) -> Subject:
    return subject("reinstall", rack.machine().id, action={"reinstall": {}}, **more)


def test_it_is_ordered_once_whatever_is_forgotten(rack: Rack, step: Reinstall, hints: list[int]) -> None:
    first = step.look(about(rack), {}, now=present())
    again = step.look(about(rack), {}, now=present())  # a crash came between the order and what was written down
    assert isinstance(first, Waiting)
    assert again.memory == first.memory
    assert hints == [first.memory["deployment"]]
    assert rack.machine().state == State.DEPLOYING
    assert rack.deployment(hints[0]).requested_by == "system:rollout 7, try 1"


def test_what_becomes_of_it_is_what_becomes_of_the_step(rack: Rack, step: Reinstall) -> None:
    waits = step.look(about(rack), {}, now=present())
    number = waits.memory["deployment"]
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        row = session.get_one(type(rack.deployment(number)), number)
        lifecycle.fail(session, machine, row, code="no_dhcp", reason="Nobody saw it.", now=present())
    found = step.look(about(rack), waits.memory, now=present())
    assert isinstance(found, Failed)
    assert (found.code, found.says) == ("no_dhcp", "Nobody saw it.")
    second = step.look(about(rack, tries=2), {}, now=present())  # somebody said retry
    assert isinstance(second, Waiting)
    assert second.memory["deployment"] != number
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        row = session.get_one(type(rack.deployment(number)), second.memory["deployment"])
        lifecycle.succeed(session, machine, row, now=present())
    done = step.look(about(rack, tries=2), second.memory, now=present())
    assert isinstance(done, Done)
    assert "rocky-9 succeeded" in done.says


def test_while_the_breaker_is_open_nothing_is_ordered(rack: Rack, step: Reinstall, hints: list[int]) -> None:
    with rack.provisioner.database.write() as session:
        session.add(Breaker(id=breaker.ONLY, opened_at=present(), reason="reinstalling is stopped, since all fail"))
    waits = step.look(about(rack), {}, now=present())
    assert isinstance(waits, Waiting)
    assert waits.says == "It waits: reinstalling is stopped, since all fail."
    assert not hints
    assert rack.machine().state == State.SERVICING
