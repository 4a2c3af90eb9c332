"""Drained by Swift's own rings, object servers and replicator: four nodes of this host, one of them taken out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.db import Database
from pxeapp.errors import Conflict
from pxeapp.machines.models import Machine
from pxeapp.nodes.jobs import Job
from pxeapp.nodes.models import Node
from pxeapp.rollouts.port import Done, Failed, Outcome, Waiting
from pxeapp.rollouts.rings import site
from pxeapp.rollouts.spec import SwiftDrain
from pxeapp.rollouts.steps.swift import Swift
from tests.rollouts.rings import nodes as real
from tests.rollouts.rings.nodes import Nodes, needs_swift
from tests.rollouts.steps.subjects import T0, subject

pytestmark = needs_swift
NUMBERS = (1, 2, 3, 4)
SAID = {"swift": {"rings": "node1"}}
DRAINED = 4


@pytest.fixture
def nodes(tmp_path: Path) -> Nodes:
    found = Nodes(tmp_path)
    for number in NUMBERS:
        found.add(number)
    return found


@pytest.fixture
def swift(database: Database, nodes: Nodes) -> Swift:
    with database.write() as session:
        for number in (*NUMBERS, 5):
            session.add(Machine(id=number, name=f"node{number}", mac=f"52:54:00:00:00:0{number}", role="object",
                                created_at=T0, updated_at=T0))  # fmt: skip
            session.flush()
            session.add(Node(machine_id=number, host_keys=["ssh-ed25519 AAAA"], keys_from="first_boot", keys_at=T0))
        session.get_one(Machine, 5).role = "compute"
    return Swift(database, nodes)


class Course:
    """Looks by processes that remember nothing but what was written down."""

    def __init__(self, swift: Swift, until: str = "moved") -> None:
        self.swift = swift
        self.drain = {"swift": {"rings": "node1", "until": until}}
        self.earlier: dict[str, dict[str, object]] = {}
        self.says: list[str] = []

    def looks(self, step: str, most: int = 40, tries: int = 1) -> Iterator[Outcome]:
        memory = json.loads(json.dumps(self.earlier.get(step, {}))) if tries > 1 and step == "drain" else {}
        said = subject(step, DRAINED, drain=self.drain, role="object", tries=tries, earlier=self.earlier)
        spec = said.spec.drain.chosen
        assert isinstance(spec, SwiftDrain)
        look = {"drain": self.swift.drain, "undrain": self.swift.undrain}[step]
        for _ in range(most):
            found = look(said, spec, json.loads(json.dumps(memory)))
            memory = dict(found.memory)
            self.earlier[step] = memory
            self.says.append(found.says)
            yield found
            if not isinstance(found, Waiting):
                return
        raise AssertionError(f"It still waits: {self.says[-3:]}")

    def run(self, step: str, nodes: Nodes, tries: int = 1) -> Outcome:
        """To its end; where Swift wants an hour to pass, it has passed."""
        found: Outcome | None = None
        for found in self.looks(step, tries=tries):
            if "Swift lets " in found.says:
                for builder in nodes.etc(1).glob("*.builder"):
                    nodes.later(builder.stem)
        assert found is not None
        return found


def weights(nodes: Nodes, ring: str = "object") -> list[tuple[float, int, str]]:
    seen = site.look(nodes, 1, "node1", "/etc/swift")
    return [(each.weight, each.parts, each.meta) for each in seen.rings[ring].devices.values()]


def test_what_its_disk_holds_is_moved_by_swift_itself_and_comes_back(swift: Swift, nodes: Nodes) -> None:
    with real.servers(nodes, NUMBERS) as port:
        real.make_rings(nodes, NUMBERS, "object", power=4, port=port)
        objects = {f"/a/c/o{number}": f"content {number}".encode() for number in range(12)}
        for path, part, addresses in real.where(nodes, list(objects)):
            for address in addresses:
                real.put(address, port, f"/d1/{part}{path}", objects[path])
        course = Course(swift)
        waited = 0
        for found in course.looks("drain"):
            if "partitions" in found.says and "are left" in found.says:
                waited += 1
                real.replicate(nodes, DRAINED)
        assert isinstance(found, Done), found
        assert waited
        assert len(nodes.hashes()) == 1
        assert found.evidence == {
            "moved_partitions": 12, "nodes_with_rings": 4, "nodes_without": [], "found_at_zero": []
        }  # fmt: skip
        for path, part, addresses in real.where(nodes, list(objects)):
            assert f"127.0.1.{DRAINED}" not in addresses
            assert [real.get(each, port, f"/d1/{part}{path}") for each in addresses] == [objects[path]] * 3
            assert real.get(f"127.0.1.{DRAINED}", port, f"/d1/{part}{path}") is None
        assert weights(nodes)[DRAINED - 1] == (0, 0, "[pxeapp rollout 7: weight 100.0]")

        ended = course.run("undrain", nodes)
        assert isinstance(ended, Done), ended
        assert ended.evidence["moved_partitions"] >= 12
        assert weights(nodes) == [(100.0, 12, "")] * 4
        assert len(nodes.hashes()) == 1
        for number in (1, 2, 3):
            real.replicate(nodes, number)
        for path, part, addresses in real.where(nodes, list(objects)):
            assert [real.get(each, port, f"/d1/{part}{path}") for each in addresses] == [objects[path]] * 3


def test_swifts_hour_between_two_moves_is_waited_for(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, NUMBERS, "account", "object", rested=False)
    course = Course(swift, "assigned")
    for found in course.looks("drain"):
        if "Swift lets " in found.says:
            break
    assert found.says == "96 partitions are to go to other devices; Swift lets them move in 1h."
    assert [each[:2] for each in weights(nodes)] == [(100.0, 48)] * 3 + [(0, 48)]  # said, and not moved yet
    assert isinstance(course.run("drain", nodes, tries=2), Done)
    assert [each[1] for each in weights(nodes, "account")] == [64, 64, 64, 0]


def test_a_ring_that_keeps_more_copies_than_would_be_left_is_not_touched(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, (1, 2, 4), "object")
    before = nodes.hashes()
    found = Course(swift).run("drain", nodes)
    assert isinstance(found, Failed)
    assert found.code == "too_few_devices"
    assert "keeps 3 copies; without this machine 2 devices have a weight." in found.says
    assert nodes.hashes() == before


def test_a_machine_that_the_rings_do_not_know_is_not_taken_for_an_empty_one(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, (1, 2, 3), "object")
    found = Course(swift).run("drain", nodes)
    assert isinstance(found, Failed)
    assert (found.code, found.says) == ("no_devices", "Swift's rings have no device at 127.0.1.4, node4.")


def test_a_turn_that_was_ended_in_the_middle_is_begun_again(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, NUMBERS, "object")
    nodes.killed.add("pxeapp-rollout-7-3-drain-1-turn-1")
    course = Course(swift, "assigned")
    assert isinstance(course.run("drain", nodes), Done)
    assert "The rebalancing was ended in the middle and is begun again." in course.says
    assert weights(nodes)[3][:2] == (0, 0)


def test_a_builder_that_was_saved_without_its_ring_has_the_ring_written(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, NUMBERS, "object")
    old = (nodes.etc(1) / "object.ring.gz").read_bytes()
    course = Course(swift, "assigned")
    assert isinstance(course.run("drain", nodes), Done)
    (nodes.etc(1) / "object.ring.gz").write_bytes(old)  # as a death between the two leaves it
    assert isinstance(course.run("drain", nodes, tries=2), Done)
    assert nodes.hashes() == {(nodes.etc(1) / "object.ring.gz").read_bytes()}
    assert nodes.hashes() != {old}


def test_nodes_that_are_away_hold_nobody_up_and_are_named(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, NUMBERS, "object")
    nodes.away.add(2)
    found = Course(swift, "assigned").run("drain", nodes)
    assert isinstance(found, Done)
    assert found.evidence["nodes_without"] == ["node2: node2 cannot be reached by ssh: no answer after 10 s."]
    assert sorted(nodes.written) == [(3, "object.ring.gz"), (4, "object.ring.gz")]


def test_rings_are_given_only_to_nodes_of_the_same_swift(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, NUMBERS, "object")
    (nodes.etc(2) / "swift.conf").write_text(real.HASH.format(suffix="another"))
    (nodes.etc(3) / "swift.conf").unlink()
    found = Course(swift, "assigned").run("drain", nodes)
    assert isinstance(found, Done)
    assert nodes.written == [(4, "object.ring.gz")]


def test_an_undrain_waits_for_a_turn_of_the_drain_that_was_aborted(
    swift: Swift, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.make_rings(nodes, NUMBERS, "object")
    course = Course(swift)
    for _ in zip(range(2), course.looks("drain"), strict=False):
        pass
    assert "turning" in course.earlier["drain"]
    with monkeypatch.context() as still:
        still.setattr(nodes, "job", lambda *_: Job("running", None, "", 0))
        assert next(course.looks("undrain")).says.startswith("Its drain is rebalancing")
    assert isinstance(course.run("undrain", nodes), Done)
    assert weights(nodes)[3][0] == 100.0
    assert weights(nodes)[3][2] == ""


def test_a_disk_that_somebody_has_at_zero_stays_there(swift: Swift, nodes: Nodes) -> None:
    real.make_rings(nodes, NUMBERS, "object", zero=DRAINED)
    course = Course(swift, "assigned")
    found = course.run("drain", nodes)
    assert isinstance(found, Done)
    assert found.evidence["found_at_zero"] == ["object d1"]
    assert isinstance(course.run("undrain", nodes), Done)
    assert weights(nodes)[3] == (0, 0, "")


def test_a_machine_without_builder_files_says_so(swift: Swift, nodes: Nodes) -> None:
    with pytest.raises(Conflict, match=r"cannot be read on node1: There are no builder files in .*\."):
        site.look(nodes, 1, "node1", "/etc/swift")
