"""Creating, changing, deleting and bringing machines: refused with what is possible, never half done."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, PreconditionFailed
from pxeapp.machines import lifecycle, selectors, service, sightings, timeline, wire
from pxeapp.machines.lifecycle import TRANSITIONAL, TRANSITIONS, State
from pxeapp.machines.models import Bmc, Disk, Event, Interface, Machine, Network, Sighting
from pxeapp.machines.service import BRING_VERBS
from pxeapp.machines.wire import MachineChange, MachineIn
from pxeapp.vault import Vault
from tests.machines.conftest import LATER, SITE, T0, add, mac

FULL = {
    "name": "node1", "mac": mac(1), "serial": "S1", "uuid": "4c4c4544-0051-3010-8052-b4c04f4e4d32",
    "bmc": {"address": "10.0.0.1", "password": "calvin-and-hobbes"}, "interfaces": [{"mac": mac(1)}],
    "disks": {"system": "sda"},
}  # fmt: skip


def create(database: Database, vault: Vault, **said: Any) -> dict[str, Any]:
    with database.write() as session:
        row = service.create(session, vault, SITE, MachineIn.model_validate(said), actor="user:ada", now=T0)
        return wire.machine(row)


def change(
    database: Database, vault: Vault, key: str, *, expected_version: int | None = None, **said: Any
) -> list[str]:
    with database.write() as session:
        row = selectors.get(session, key, lock=True)
        return service.change(
            session, vault, SITE, row, MachineChange.model_validate(said), actor="user:ada", now=LATER,
            expected_version=expected_version,
        )  # fmt: skip


def bring(database: Database, key: str, verb: str) -> str:
    with database.write() as session:
        row = selectors.get(session, key, lock=True)
        service.bring(session, row, verb, actor="user:ada", now=LATER)
        return row.state


def read(database: Database, key: str = "node1") -> dict[str, Any]:
    with database.read() as session:
        return wire.machine(selectors.get(session, key))


def audited(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(row.action, row.subject) for row in session.scalars(select(AuditRow).order_by(AuditRow.id))]


def test_a_registered_machine_is_enrolled_and_says_so(any_database: Database, vault: Vault) -> None:
    found = create(any_database, vault, **FULL)
    assert (found["state"], found["power"], found["version"]) == ("enrolled", "unknown", 1)
    assert read(any_database) == found
    assert audited(any_database) == [("machine.create", "node1")]
    with any_database.read() as session:
        assert [event.message for event in session.scalars(select(Event))] == ["node1 was registered."]


def test_the_password_never_goes_out(database: Database, vault: Vault) -> None:
    found = create(database, vault, **FULL)
    change(database, vault, "node1", bmc={"address": "10.0.0.1", "password": "another-secret"})
    with database.read() as session:
        kept = [row.details for row in session.scalars(select(AuditRow))]
        kept += [row.evidence for row in session.scalars(select(Event))]
    text = json.dumps([found, read(database), kept])
    assert "calvin" not in text
    assert "another-secret" not in text
    assert found["bmc"]["password_set"]


def test_a_change_without_a_password_keeps_the_one_there_is(database: Database, vault: Vault) -> None:
    create(database, vault, **FULL)
    assert change(database, vault, "node1", bmc={"address": "10.0.0.2"}) == ["bmc"]
    with database.read() as session:
        assert vault.decrypt(session.scalars(select(Bmc)).one().password_encrypted) == "calvin-and-hobbes"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"name": "node1"}, "The name node1 belongs to node1."),
        ({"mac": "5254.0000.0001"}, f"The mac {mac(1)} belongs to node1."),
        ({"serial": "S1"}, "The serial S1 belongs to node1."),
        ({"uuid": FULL["uuid"]}, "belongs to node1."),
        ({"bmc": {"address": "10.0.0.1"}}, "The BMC 10.0.0.1:623 belongs to node1."),
        ({"interfaces": [{"mac": mac(1)}]}, f"The MAC {mac(1)} (belongs to a card of|is the one that) node1"),
    ],
)
def test_what_another_machine_holds_is_refused(
    database: Database, vault: Vault, said: dict[str, Any], named: str
) -> None:
    create(database, vault, **FULL)
    with pytest.raises(Conflict, match=named):
        create(database, vault, **{"name": "node2", "mac": mac(2), **said})
    create(database, vault, name="node2", mac=mac(2))
    with pytest.raises(Conflict, match=named):
        change(database, vault, "node2", **said)
    assert change(database, vault, "node1", **said) in ([], ["bmc"], ["interfaces"])


def test_what_the_appliance_does_not_know_is_refused_with_what_it_knows(database: Database, vault: Vault) -> None:
    with pytest.raises(Invalid) as caught:
        create(
            database, vault, name="node1", mac=mac(1), role="wizard", release="beos",
            bmc={"address": "192.0.2.1"}, interfaces=[{"mac": mac(1), "network": "moon"}],
        )  # fmt: skip
    found = {problem.field: problem.fix for problem in caught.value.problems}
    assert set(found) == {"role", "release", "bmc.address", "interfaces.0.network"}
    assert found["role"] == "Known: base, compute."
    assert "PXEAPP_BMC_NETWORKS" in found["bmc.address"]


def test_a_bmc_named_by_a_host_name_is_checked_when_it_is_resolved(database: Database, vault: Vault) -> None:
    assert create(database, vault, name="node1", mac=mac(1), bmc={"address": "ilo-1.example.org"})["bmc"]["port"] == 623


def test_a_change_says_what_really_changed_and_counts_the_version_up(any_database: Database, vault: Vault) -> None:
    create(any_database, vault, **FULL)
    assert change(any_database, vault, "node1", serial="S1", role="base", labels={"a": "b"}) == ["role", "labels"]
    assert read(any_database)["version"] == 2
    assert change(any_database, vault, "node1", role="base") == []
    assert read(any_database)["version"] == 2
    assert audited(any_database)[1:] == [("machine.change", "node1")]


def test_a_change_that_rests_on_an_older_version_is_refused(any_database: Database, vault: Vault) -> None:
    create(any_database, vault, **FULL)
    change(any_database, vault, "node1", expected_version=1, role="base")
    with pytest.raises(PreconditionFailed):
        change(any_database, vault, "node1", expected_version=1, role="compute")
    assert read(any_database)["role"] == "base"


@pytest.mark.parametrize("field", ["name", "mac"])
def test_what_a_machine_cannot_be_without_cannot_be_taken_away(field: str) -> None:
    with pytest.raises(ValueError, match="cannot be empty"):
        MachineChange.model_validate({field: None})


@pytest.mark.parametrize("state", sorted(TRANSITIONAL))
def test_while_something_is_under_way_its_ground_does_not_move(database: Database, vault: Vault, state: State) -> None:
    add(database, "node1", state=state, role="base", release="rocky-9")
    for said in ({"role": "compute"}, {"release": None}, {"mac": mac(9)}):
        with pytest.raises(Conflict, match=str(state)):
            change(database, vault, "node1", **said)
    assert change(database, vault, "node1", role="base", labels={"a": "b"}) == ["labels"]
    with database.write() as session, pytest.raises(Conflict, match="Abort"):
        service.delete(session, selectors.get(session, "node1"), actor="user:ada", now=LATER)


def test_a_deleted_machine_takes_everything_along_but_the_audit(any_database: Database, vault: Vault) -> None:
    create(any_database, vault, **FULL)
    with any_database.write() as session:
        row = selectors.get(session, "node1")
        sightings.record(session, mac=row.mac, now=T0, machine_id=row.id)
        timeline.note(session, machine_id=row.id, at=T0, source="dhcp", kind="seen", message="x", address="10.0.0.9")
    with any_database.write() as session:
        service.delete(session, selectors.get(session, "node1", lock=True), actor="user:ada", now=LATER)
    with any_database.read() as session:
        for table in (Machine, Bmc, Interface, Disk, Event):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        assert session.get_one(Sighting, mac(1)).machine_id is None
    assert audited(any_database)[-1] == ("machine.delete", "node1")


def test_a_locked_machine_is_left_alone_until_it_is_unlocked(database: Database, vault: Vault) -> None:
    create(database, vault, **FULL, locked=True)
    with pytest.raises(Conflict, match="locked"):
        bring(database, "node1", "retire")
    with database.write() as session, pytest.raises(Conflict, match="locked"):
        service.delete(session, selectors.get(session, "node1"), actor="user:ada", now=LATER)
    change(database, vault, "node1", locked=False)
    assert bring(database, "node1", "retire") == State.RETIRED


def test_a_machine_is_brought_through_what_moves_no_hardware(any_database: Database, vault: Vault) -> None:
    create(any_database, vault, **FULL)
    for verb, state in (
        ("manage", "manageable"), ("provide", "available"), ("reserve", "reserved"), ("unreserve", "available"),
        ("retire", "retired"), ("manage", "enrolled"),
    ):  # fmt: skip
        assert bring(any_database, "node1", verb) == state
        assert read(any_database)["state"] == state
    with any_database.read() as session:
        kinds = session.scalars(select(Event.kind).order_by(Event.id)).all()
    assert kinds == ["enrolled", "manage", "provide", "reserve", "unreserve", "retire", "manage"]
    assert read(any_database)["version"] == 8


@pytest.mark.parametrize("state", sorted(State))
def test_bringing_follows_the_table_and_refuses_the_rest(database: Database, state: State) -> None:
    for verb in BRING_VERBS:
        with database.write() as session:
            session.query(Machine).delete()
        add(database, "node1", state=state)
        if (state, verb) in TRANSITIONS:
            expected = lifecycle.target(state, verb)
            expected = lifecycle.target(expected, "done") if expected in TRANSITIONAL else expected
            assert bring(database, "node1", verb) == expected
        else:
            with pytest.raises(Conflict, match="cannot"):
                bring(database, "node1", verb)
            assert read(database)["state"] == state


@pytest.mark.parametrize("verb", ["deploy", "clean", "done", "fail", ""])
def test_verbs_that_move_hardware_are_not_for_bringing(database: Database, verb: str) -> None:
    add(database, "node1")
    with pytest.raises(Invalid) as caught:
        bring(database, "node1", verb)
    assert "manage" in caught.value.hint


def test_an_address_belongs_to_one_card_only(any_database: Database, vault: Vault) -> None:
    with any_database.write() as session:
        session.add(Network(name="rack1", cidr="10.1.0.0/24"))
    card = {"network": "rack1", "address": "10.1.0.5"}
    create(any_database, vault, name="node1", mac=mac(1), interfaces=[{"mac": mac(1), **card}])
    create(any_database, vault, name="node2", mac=mac(2), interfaces=[{"mac": mac(2)}])
    wanted = [("interfaces.0.address", "10.1.0.5 belongs to node1.")]
    for refused in (
        lambda: create(any_database, vault, name="node3", mac=mac(3), interfaces=[{"mac": mac(3), **card}]),
        lambda: change(any_database, vault, "node2", interfaces=[{"mac": mac(2), **card}]),
    ):
        with pytest.raises(Invalid) as caught:
            refused()
        assert [(each.field, each.problem) for each in caught.value.problems] == wanted
    assert change(any_database, vault, "node1", interfaces=[{"mac": mac(1), "name": "eno1", **card}]) == ["interfaces"]
